//! Awaits several futures at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::{MaybeDone, maybe_done};

/// Returns the results in the order of the futures. It polls all open futures whenever one may
/// continue: they are few, and the bookkeeping of the crate's own `join_all` adds 3 KB to a
/// function.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<Pin<Box<MaybeDone<F>>>> =
        futures.into_iter().map(|future| Box::pin(maybe_done(future))).collect();
    poll_fn(|context| {
        let mut are_done = true;
        for future in &mut all {
            are_done &= future.as_mut().poll(context).is_ready();
        }
        if are_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.iter_mut().filter_map(|future| future.as_mut().take_output()).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use futures_util::future::pending;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_futures_and_each_runs_once() {
        let began = RefCell::new(Vec::new());
        let one = async |number: u32| {
            began.borrow_mut().push(number);
            let mut was_polled = number.is_multiple_of(2);
            poll_fn(|_| {
                if std::mem::replace(&mut was_polled, true) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
            number
        };
        let mut all = pin!(join_all((0..40).map(one)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(all.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(results) = all.poll(&mut context) else { panic!("not done") };
        assert!(results.into_iter().eq(0..40) && began.borrow().len() == 40);
        let mut stuck = pin!(join_all([pending::<()>()]));
        assert!(stuck.as_mut().poll(&mut context).is_pending());
    }
}
