//! One local stack per test process: release wasm in workerd, Postgres, the stand-ins; and a client of its HTTP contract.
//!
//! Tests run one after the other, each in a world put back to its beginning, and after each no invariant may be broken.
//! The stack's processes are watched through pipes that this process holds, so however it ends, they end too.
//!
//! * [`world`]: the stack, its reset, and what a test looks at
//! * [`call`]: one HTTP request, and the part of the contract that holds for every answer
//! * [`keys`]: tokens and key sets that no front door would give
//! * [`memory`]: what the functions' process holds
//! * [`node`]: scripts with the official client, or in a browser
//! * [`openapi`]: the committed contract, against which every answer is held
//! * [`user`]: who calls: signed in at the front door, or with a token made for the purpose
//!
//! Nothing here reaches into a function: what a test knows, it knows over HTTP or from the database.

pub mod call;
pub mod keys;
pub mod memory;
pub mod node;
pub mod openapi;
pub mod user;
pub mod world;

use std::panic::AssertUnwindSafe;
use std::sync::{LazyLock, Mutex, PoisonError};

use futures::FutureExt;
use tokio::runtime::Runtime;
use xtask::stack::StackOptions;

pub use call::{Answer, Call};
pub use user::User;
pub use world::World;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
/// The process's stack, or why it does not run: starting it takes too long to try again for every test.
static WORLD: Mutex<Option<Result<World, String>>> = Mutex::new(None);

/// Runs a test in the process's world.
pub fn run(test: impl AsyncFnOnce(&mut World)) {
    let mut shared = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    let world = shared.get_or_insert_with(|| RUNTIME.block_on(start(|_| {})));
    let world = world.as_mut().unwrap_or_else(|error| panic!("the stack does not run: {error}"));
    perform(world, test);
}

/// Runs a test in a world of its own, whose options differ. It is gone afterwards.
pub fn run_apart(change: impl FnOnce(&mut StackOptions), test: impl AsyncFnOnce(&mut World)) {
    let _one_at_a_time = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    let started = RUNTIME.block_on(start(change));
    let mut world = started.unwrap_or_else(|error| panic!("the stack does not run: {error}"));
    perform(&mut world, test);
    // Its connections are served by the runtime, so they end inside it.
    let _context = RUNTIME.enter();
    drop(world);
}

async fn start(change: impl FnOnce(&mut StackOptions)) -> Result<World, String> {
    World::start(change).await.map_err(|error| format!("{error:#}"))
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
