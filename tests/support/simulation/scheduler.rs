//! Runs all actors of a simulation on one thread, under a clock that moves only when every actor
//! waits. The order of what is ready at one moment is that in which it became ready.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::chance::Chance;

type Ready = Arc<Mutex<VecDeque<u64>>>;
type BoxedTask = Pin<Box<dyn Future<Output = ()>>>;
/// Each task with its actor; a task that is polled right now is out of it.
type ActorTasks = RefCell<BTreeMap<u64, (Rc<Actor>, Option<BoxedTask>)>>;

/// One invocation of a function, or one actor of the outside world. All its tasks end together.
pub struct Actor {
    pub name: String,
    pub chance: RefCell<Chance>,
    pub is_dead: Cell<bool>,
    /// The number of the call at which it dies, and whether the call has its effect before.
    pub dies_at: Cell<Option<(u32, bool)>>,
    /// The database call whose connection breaks, and whether it was committed before.
    pub breaks_at: Cell<Option<(u32, bool)>>,
    /// The database call that arrives late, and by how many milliseconds.
    pub late_at: Cell<Option<(u32, u64)>>,
    pub calls: Cell<u32>,
    pub database_calls: Cell<u32>,
}

impl Actor {
    pub fn new(seed: u64, name: String) -> Rc<Self> {
        Rc::new(Self {
            chance: RefCell::new(Chance::new(seed, &name)),
            name,
            is_dead: Cell::new(false),
            dies_at: Cell::new(None),
            breaks_at: Cell::new(None),
            late_at: Cell::new(None),
            calls: Cell::new(0),
            database_calls: Cell::new(0),
        })
    }

    /// Whether a fault is planned for one of its calls.
    pub fn is_faulty(&self) -> bool {
        self.dies_at.get().is_some()
            || self.breaks_at.get().is_some()
            || self.late_at.get().is_some()
    }

    pub fn between(&self, least: u64, most: u64) -> u64 {
        self.chance.borrow_mut().between(least, most)
    }
}

struct TaskWaker {
    task: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.ready.lock().unwrap();
        if !ready.contains(&self.task) {
            ready.push_back(self.task);
        }
    }
}

#[derive(Default)]
pub struct Scheduler {
    now_ms: Cell<u64>,
    count: Cell<u64>,
    tasks: ActorTasks,
    ready: Ready,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
}

impl Scheduler {
    /// Milliseconds since the simulation began.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn next_number(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    pub fn spawn(&self, actor: &Rc<Actor>, work: impl Future<Output = ()> + 'static) {
        let task = self.next_number();
        self.tasks.borrow_mut().insert(task, (Rc::clone(actor), Some(Box::pin(work))));
        self.ready.lock().unwrap().push_back(task);
    }

    pub async fn sleep(&self, ms: u64) {
        let (at, number) = (self.now_ms() + ms, self.next_number());
        poll_fn(|context| {
            if self.now_ms() >= at {
                self.timers.borrow_mut().remove(&(at, number));
                return Poll::Ready(());
            }
            self.timers.borrow_mut().insert((at, number), context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Runs until `is_over` says so, which is asked whenever the clock is about to move, or until
    /// nobody waits for anything.
    pub fn run(&self, mut is_over: impl FnMut(u64) -> bool) {
        loop {
            while let Some(task) = self.take_ready() {
                self.poll(task);
            }
            let first = self.timers.borrow().keys().next().copied();
            let Some((at, number)) = first else { return };
            if is_over(at) {
                return;
            }
            self.now_ms.set(at.max(self.now_ms()));
            if let Some(waker) = self.timers.borrow_mut().remove(&(at, number)) {
                waker.wake();
            }
        }
    }

    fn take_ready(&self) -> Option<u64> {
        self.ready.lock().unwrap().pop_front()
    }

    fn poll(&self, task: u64) {
        let taken = match self.tasks.borrow_mut().get_mut(&task) {
            Some((actor, work)) => work.take().map(|work| (Rc::clone(actor), work)),
            None => None,
        };
        let Some((actor, mut work)) = taken else { return };
        let waker = Waker::from(Arc::new(TaskWaker { task, ready: Arc::clone(&self.ready) }));
        let is_done =
            !actor.is_dead.get() && work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if is_done || actor.is_dead.get() {
            self.tasks.borrow_mut().remove(&task);
            drop(work);
        } else if let Some((_, slot)) = self.tasks.borrow_mut().get_mut(&task) {
            *slot = Some(work);
        }
        if actor.is_dead.get() {
            self.bury(&actor);
        }
    }

    /// Drops every task of a dead actor.
    pub fn bury(&self, dead: &Rc<Actor>) {
        actor_tasks(&self.tasks, dead).into_iter().for_each(drop);
    }

    /// Drops everything, so that no task keeps the world that it runs in.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.timers.borrow_mut().clear();
    }
}

/// Takes the tasks out before they are dropped: a drop may wake or spawn others.
fn actor_tasks(tasks: &ActorTasks, dead: &Rc<Actor>) -> Vec<Option<BoxedTask>> {
    let mut tasks = tasks.borrow_mut();
    let theirs: Vec<u64> =
        tasks.iter().filter(|(_, (actor, _))| Rc::ptr_eq(actor, dead)).map(|(id, _)| *id).collect();
    theirs.into_iter().filter_map(|id| tasks.remove(&id)).map(|(_, work)| work).collect()
}
