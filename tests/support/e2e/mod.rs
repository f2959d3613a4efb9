//! Local stacks for tests: release wasm in workerd, Postgres, the stand-ins; and a client of its
//! HTTP contract.
//!
//! Each test has a world to itself, which is reset before the test; after the test every invariant
//! must hold. There are two worlds, because a test mostly waits. Watchers hold a pipe to this
//! process and end the stack's processes when it ends, however it ends.
//!
//! * [`world`]: the stack, its reset, and what a test reads and waits for
//! * [`call`]: one HTTP request, and the part of the contract that holds for every answer
//! * [`host_world`]: the stack on the database of an app that was adopted
//! * [`hold`]: stops a worker at one exact point, so that it can be killed there
//! * [`keys`]: tokens that no sign-in would give
//! * [`memory`]: the memory of the functions' process
//! * [`node`]: scripts with the official client, or in a browser
//! * [`openapi`]: the committed contract, against which every answer is checked
//! * [`order`], [`try_on`], [`cards`], [`website`]: orders as a client places them, and how they
//!   must end
//! * [`pages`]: the files of a website in a browser or a compiler
//! * [`publication`]: the changes that a subscriber of Realtime gets
//! * [`purchase`]: packs, the page of Stripe, and the events of sellers
//! * [`proxy`]: a proxy before the front door, which counts requests and publishes other key sets
//! * [`receiver`]: an HTTP server outside to which our functions post
//! * [`user`]: callers: users who signed in at the front door, or with a token made for the purpose
//!
//! Nothing here reaches into a function: a test reads everything over HTTP or from the database.

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
/// The worlds that no test uses, as many as there are threads of tests. `None` is a world that the
/// first test that takes it will start.
static FREE: LazyLock<Mutex<Vec<Option<World>>>> = LazyLock::new(|| {
    let threads = std::env::var("RUST_TEST_THREADS").ok().and_then(|count| count.parse().ok());
    Mutex::new((0..threads.unwrap_or(2)).map(|_| None).collect())
});
static FREED: Condvar = Condvar::new();
/// Only one stack starts at a time, because two that start at once may want the same ports. After
/// one failed start no other is tried: it takes too long to fail for every test.
static STARTING: Mutex<Result<(), String>> = Mutex::new(Ok(()));

/// A world that belongs to one test until the test ends, however it ends.
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

/// Runs a test in a world that other tests use before and after it.
pub fn run(test: impl AsyncFnOnce(&mut World)) {
    perform(WorldPermit::take().world(), test);
}

/// Runs a test in a world of its own with other options, and drops the world afterwards.
pub fn run_apart(change: impl FnOnce(&mut StackOptions), test: impl AsyncFnOnce(&mut World)) {
    let _turn = WorldPermit::take();
    let mut world = start(change);
    perform(&mut world, test);
    // The runtime serves the world's connections, so they must be dropped inside it.
    let _context = RUNTIME.enter();
    drop(world);
}

/// Runs a test in a world of its own on the database of that app, which has been adopted.
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
