use super::*;
use crate::budget::ample;

const PERIOD: Duration = Duration::from_millis(300);

fn zone(room: usize) -> ZoneA {
    ZoneA {
        period: PERIOD,
        room: Arc::new(Semaphore::new(room)),
        budgets: ample(),
        unwraps: Counter::default(),
        overruns: Counter::default(),
    }
}

#[test]
fn what_does_not_fit_into_one_period_ends_with_a_later_one() {
    let millis = Duration::from_millis;
    for (spent, end) in [(0, 100), (1, 100), (99, 100), (100, 100), (101, 200), (950, 1000)] {
        assert_eq!(bucket(millis(spent), millis(100)), millis(end), "{spent}");
    }
    assert_eq!(bucket(millis(5), Duration::ZERO), Duration::ZERO, "no period, no wait, no panic");
}

/// Whether it took this long, on a busy machine.
fn took(begun: Instant, expected: Duration) -> bool {
    (expected..expected + PERIOD / 2).contains(&begun.elapsed())
}

// Fails when `fail` does not wait, or waits from the moment of the failure on.
#[tokio::test]
async fn failures_are_answered_at_one_moment_however_long_their_work_took() {
    for work in [0, 80, 250] {
        let zone = zone(1);
        let begun = Instant::now();
        let stay = zone.enter(Source::Unix, 0).unwrap();
        tokio::time::sleep(Duration::from_millis(work)).await;
        let conclusion = stay.fail(&mut Place::new(())).await;
        assert!(took(begun, PERIOD), "{work}: {:?}", begun.elapsed());
        assert_eq!(zone.overruns.get(), 0);
        let Conclusion::Failure { fail_info, text, .. } = conclusion else { panic!() };
        assert_eq!((fail_info, text), (FailInfo::BadMessageCheck, None));
    }
}

// Fails when `fail` answers at once what has overrun.
#[tokio::test]
async fn an_overrun_is_rounded_up_and_counted() {
    let zone = zone(1);
    let begun = Instant::now();
    let stay = zone.enter(Source::Unix, 0).unwrap();
    tokio::time::sleep(PERIOD + Duration::from_millis(50)).await;
    stay.fail(&mut Place::new(())).await;
    assert!(took(begun, PERIOD * 2), "{:?}", begun.elapsed());
    assert_eq!(zone.overruns.get(), 1);
}

// Fails when `fail` does not call `give_back` before it sleeps.
#[tokio::test]
async fn who_waits_gives_the_place_back_and_keeps_one_in_the_room() {
    let zone = zone(1);
    let in_flight = Arc::new(Semaphore::new(1));
    let taken = Arc::clone(&in_flight).try_acquire_owned().unwrap();
    let stay = zone.enter(Source::Unix, 0).unwrap();
    let waiting = tokio::spawn(async move { stay.fail(&mut Place::new(taken)).await });
    tokio::time::sleep(PERIOD / 2).await;
    assert_eq!(in_flight.available_permits(), 1, "others are served meanwhile");
    assert!(matches!(zone.enter(Source::Unix, 0), Err(Conclusion::Busy { .. })), "room is full");
    waiting.await.unwrap();
    assert!(zone.enter(Source::Unix, 0).is_ok());
}

// Fails when `Stay` waits or charges in `succeed` or when it is dropped.
#[tokio::test]
async fn success_and_a_lost_token_wait_for_nothing() {
    let zone = zone(1);
    let begun = Instant::now();
    zone.enter(Source::Unix, 0).unwrap().succeed();
    drop(zone.enter(Source::Unix, 0).unwrap());
    assert!(begun.elapsed() < PERIOD / 2);
    assert!(zone.enter(Source::Unix, 0).is_ok());
}
