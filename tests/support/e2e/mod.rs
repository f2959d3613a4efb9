//! Local stacks for tests: release wasm in workerd, Postgres, the stand-ins; and a client of its
//! HTTP contract.
//!
//! A test has a world to itself, put back to its beginning, and after it no invariant may be
//! broken. There are two worlds, because a test mostly waits. The stack's processes are watched
//! through pipes that this process holds, so however it ends, they end too.
//!
//! * [`world`]: the stack, its reset, and what a test looks at
//! * [`call`]: one HTTP request, and the part of the contract that holds for every answer
//! * [`host_world`]: the stack on the database of an app that moved in
//! * [`hold`]: stops a worker at one exact point, so that it can be killed there
//! * [`keys`]: tokens that no front door would give
//! * [`memory`]: what the functions' process holds
//! * [`node`]: scripts with the official client, or in a browser
//! * [`openapi`]: the committed contract, against which every answer is held
//! * [`order`], [`try_on`], [`cards`], [`website`]: orders as a client places them, and what they
//!   must lead to
//! * [`pages`]: files of a website, looked at by a browser or a compiler
//! * [`publication`]: what a subscriber of Realtime is told
//! * [`purchase`]: packs, the page of Stripe, and what sellers tell
//! * [`proxy`]: stands before the front door, counts requests and publishes other key sets
//! * [`receiver`]: somebody outside to whom our functions post
//! * [`user`]: who calls: signed in at the front door, or with a token made for the purpose
//!
//! Nothing here reaches into a function: what a test knows, it knows over HTTP or from the
//! database.

pub mod call;
pub mod cards;
pub mod hold;
pub mod host_world;
pub mod keys;
pub mod memory;
pub mod node;
pub mod openapi;
pub mod order;
pub mod pages;
pub mod proxy;
pub mod publication;
pub mod purchase;
pub mod receiver;
pub mod try_on;
pub mod user;
pub mod website;
pub mod world;

use std::panic::AssertUnwindSafe;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

use futures::FutureExt;
use tokio::runtime::Runtime;
use xtask::stack::StackOptions;

use crate::hosts::App;

pub use call::{FunctionAnswer, FunctionCall};
pub use host_world::HostWorld;
pub use user::TestUser;
pub use world::World;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
/// The worlds that no test is in, as many as there are threads of tests; empty places are filled by
/// the first test that takes them.
static FREE: LazyLock<Mutex<Vec<Option<World>>>> = LazyLock::new(|| {
    let threads = std::env::var("RUST_TEST_THREADS").ok().and_then(|count| count.parse().ok());
    Mutex::new((0..threads.unwrap_or(2)).map(|_| None).collect())
});
static FREED: Condvar = Condvar::new();
/// Starting a stack takes too long to fail again for every test, and two that start at once may
/// want the same ports.
static STARTING: Mutex<Result<(), String>> = Mutex::new(Ok(()));

/// Room for a world that is this test's until it ends, however it ends.
struct WorldPermit(Option<World>);

impl WorldPermit {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(world) = free.pop() {
                return Self(world);
            }
            free = FREED.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn world(&mut self) -> &mut World {
        self.0.get_or_insert_with(|| start(|_| {}))
    }
}

impl Drop for WorldPermit {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0.take());
        FREED.notify_one();
    }
}

/// Runs a test in a world that others use before and after it.
pub fn run(test: impl AsyncFnOnce(&mut World)) {
    perform(WorldPermit::take().world(), test);
}

/// Runs a test in a world of its own, whose options differ. It is gone afterwards.
pub fn run_apart(change: impl FnOnce(&mut StackOptions), test: impl AsyncFnOnce(&mut World)) {
    let _turn = WorldPermit::take();
    let mut world = start(change);
    perform(&mut world, test);
    // Its connections are served by the runtime, so they end inside it.
    let _context = RUNTIME.enter();
    drop(world);
}

/// Runs a test on a database of its own of that app, which has moved in.
pub fn run_in(app: App, test: impl AsyncFnOnce(&mut HostWorld<'_>)) {
    let host = RUNTIME.block_on(host_world::moved_in(app));
    let url = host.url("postgres");
    run_apart(
        |options| options.database = Some(url),
        async |world| test(&mut HostWorld::new(world, &host).await).await,
    );
    let _context = RUNTIME.enter();
    drop(host);
}

fn start(change: impl FnOnce(&mut StackOptions)) -> World {
    let mut starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let started = starting.clone().and_then(|()| {
        RUNTIME.block_on(World::start(change)).map_err(|error| format!("{error:#}"))
    });
    started.unwrap_or_else(|error| {
        *starting = Err(error.clone());
        drop(starting);
        panic!("the stack does not run: {error}")
    })
}

fn perform(world: &mut World, test: impl AsyncFnOnce(&mut World)) {
    let outcome = RUNTIME.block_on(async {
        let all = async {
            world.reset().await;
            test(world).await;
            world.assert_unharmed().await;
        };
        AssertUnwindSafe(all).catch_unwind().await
    });
    if let Err(panic) = outcome {
        eprintln!("{}", world.evidence());
        std::panic::resume_unwind(panic);
    }
}
