//! A month against a worksheet that was done by hand, to the millionth.

use super::*;
use crate::base::money::{HOUR_US, Price};
use crate::capability::cost::rates::defaults;

const START: i64 = 1_793_491_200_000_000; // 2026-11-01T00:00:00Z

fn day(n: i64) -> Timestamp {
    Timestamp(START + n * 24 * HOUR_US)
}

fn lists() -> Vec<Listed> {
    let with = |since, host: i64| {
        let mut rates = defaults().unwrap().rates;
        rates.hosts.insert("h1".to_owned(), Price(host));
        rates.tokens.insert("summary-model".to_owned(), (Price(150_000_000), Price(600_000_000)));
        Listed { since, defaults: false, rates }
    };
    // $1.20 an hour, and $1.50 from the sixteenth on.
    vec![with(day(0), 1_200_000_000), with(day(15), 1_500_000_000)]
}

fn placement(service: &str, on: On) -> Placement {
    Placement {
        service: service.to_owned(),
        version: None,
        on,
        replicas: 1,
        concurrency: 4,
        storage: 0,
        answer: 0,
        expected: None,
        since: None,
        until: None,
    }
}

fn used(piece: usize, service: &str, version: &str, role: ArmRole, requests: u64, busy_hours: Option<i64>) -> Use {
    Use {
        piece,
        service: service.to_owned(),
        model: None,
        version: version.to_owned(),
        role,
        requests,
        errors: 0,
        busy: busy_hours.map(|h| i128::from(h * HOUR_US)),
        input_tokens: 0,
        output_tokens: 0,
    }
}

fn month() -> (Vec<Placement>, Vec<Use>) {
    let host = || On::Host("h1".to_owned());
    let summary = Placement {
        replicas: 3,
        concurrency: 2,
        storage: 10 * 1024,
        answer: 4096,
        ..placement("summary", On::Reserved { cpu: 2000, memory: 4096, gpu: 0 })
    };
    let placements = vec![placement("delay", host()), placement("fraud", host()), summary];
    use ArmRole::{Candidate, Shadow, Stable};
    let uses = vec![
        used(0, "delay", "1", Stable, 1_000_000, Some(288)),
        used(0, "delay", "2", Shadow, 100_000, Some(36)),
        used(0, "fraud", "7", Stable, 500_000, Some(144)),
        used(1, "delay", "1", Stable, 400_000, Some(144)),
        used(1, "delay", "2", Candidate, 200_000, Some(72)),
        used(1, "fraud", "7", Stable, 900_000, Some(288)),
        used(0, "summary", "3", Stable, 400_000, None),
        Use {
            model: Some("summary-model".to_owned()),
            input_tokens: 10_000_000,
            output_tokens: 2_000_001,
            ..used(1, "summary", "3", Stable, 600_000, None)
        },
    ];
    (placements, uses)
}

fn line(bill: &Bill, service: &str, version: &str, role: ArmRole, part: Part) -> i64 {
    let of = |c: &Charge| c.service == service && c.version == version && c.role == role && c.part == part;
    bill.lines.iter().filter(|(c, _)| of(c)).map(|(_, m)| m.0).sum()
}

#[test]
fn a_month_is_billed_as_a_worksheet_says() {
    let (placements, uses) = month();
    let pieces = pieces(day(0), day(30), &lists(), &placements);
    assert_eq!(pieces, [Piece { from: day(0), to: day(15) }, Piece { from: day(15), to: day(30) }]);
    let bill = bill(&pieces, &lists(), &placements, &uses);
    assert!(bill.unknown.is_empty(), "{:?}", bill.unknown);
    use ArmRole::{Candidate, Shadow, Stable};
    let of = |service, version, role, part| line(&bill, service, version, role, part);
    // The host: 360 h at 1.20 are 432.00, of 2,880 slot hours 0.15 each; then 540.00, 0.1875 each.
    // Busy: 288 x 0.15 + 144 x 0.1875; 36 x 0.15; 72 x 0.1875; 144 x 0.15 + 288 x 0.1875.
    assert_eq!(of("delay", "1", Stable, Part::Busy), 70_200_000);
    assert_eq!(of("delay", "2", Shadow, Part::Busy), 5_400_000);
    assert_eq!(of("delay", "2", Candidate, Part::Busy), 13_500_000);
    assert_eq!(of("fraud", "7", Stable, Part::Busy), 75_600_000);
    // Idle: 432 - 70.2 = 361.8 in 288 : 36 : 144, and 540 - 94.5 = 445.5 in 144 : 72 : 288.
    // 222.646153846 + 127.285714286; 27.830769231; 63.642857143; 111.323076923 + 254.571428571, whose cut is the greatest.
    assert_eq!(of("delay", "1", Stable, Part::Idle), 349_931_868);
    assert_eq!(of("delay", "2", Shadow, Part::Idle), 27_830_769);
    assert_eq!(of("delay", "2", Candidate, Part::Idle), 63_642_857);
    assert_eq!(of("fraud", "7", Stable, Part::Idle), 365_894_506);
    // 3 x (2 x 0.031611 + 4 x 0.004237) x 720 h; 10 GiB x 720 h x 0.000054762; 1,000,000 x 4 KiB at 0.12 a GiB.
    assert_eq!(of("summary", "3", Stable, Part::Kept), 173_167_200);
    assert_eq!(of("summary", "3", Stable, Part::Storage), 394_286);
    assert_eq!(of("summary", "3", Stable, Part::Egress), 457_764);
    // 10 x 0.15 + 2.000001 x 0.60.
    assert_eq!(of("summary", "3", Stable, Part::Tokens), 2_700_001);
    let whole: i64 = bill.lines.values().map(|m| m.0).sum();
    assert_eq!(whole, 972_000_000 + 173_167_200 + 394_286 + 457_764 + 2_700_001);
}

#[test]
fn a_version_with_a_place_of_its_own_works_there_alone() {
    let mut own = placement("delay", On::Reserved { cpu: 1000, memory: 0, gpu: 0 });
    own.version = Some("2".to_owned());
    let all = vec![placement("delay", On::Host("h1".to_owned())), own];
    let uses =
        [used(0, "delay", "1", ArmRole::Stable, 10, Some(1)), used(0, "delay", "2", ArmRole::Candidate, 10, Some(1))];
    let pieces = [Piece { from: day(0), to: Timestamp(day(0).0 + HOUR_US) }];
    let bill = bill(&pieces, &lists(), &all, &uses);
    // One of four slots worked for an hour at 1.20 each: 0.30 busy, 0.90 idle; and the core likewise.
    assert_eq!(line(&bill, "delay", "1", ArmRole::Stable, Part::Busy), 300_000);
    assert_eq!(line(&bill, "delay", "1", ArmRole::Stable, Part::Idle), 900_000);
    let own: i64 = [Part::Busy, Part::Idle].map(|p| line(&bill, "delay", "2", ArmRole::Candidate, p)).iter().sum();
    assert_eq!(own, 31_611);
}

#[test]
fn what_nobody_used_is_idle_and_is_charged_to_whom_it_is_kept_for() {
    let all = vec![placement("a", On::Host("h1".to_owned())), placement("b", On::Host("h1".to_owned()))];
    let pieces = [Piece { from: day(0), to: day(1) }];
    let bill = bill(&pieces, &lists(), &all, &[]);
    for service in ["a", "b"] {
        assert_eq!(line(&bill, service, "", ArmRole::Stable, Part::Idle), 14_400_000);
    }
}

#[test]
fn what_has_no_price_or_no_place_is_unknown_and_never_zero() {
    let all = vec![placement("a", On::Host("elsewhere".to_owned()))];
    let pieces = [Piece { from: day(0), to: day(1) }];
    let mut lost = used(0, "b", "1", ArmRole::Stable, 5, None);
    lost.input_tokens = 7;
    let bill = bill(&pieces, &lists(), &all, &[lost]);
    assert!(bill.lines.is_empty());
    assert!(bill.unknown["a"].iter().any(|w| w.contains("host elsewhere has no price")));
    assert_eq!(bill.unknown["b"].len(), 2, "{:?}", bill.unknown);
}

#[test]
fn a_machine_that_is_busier_than_it_can_be_was_never_idle() {
    let all = vec![placement("a", On::Host("h1".to_owned()))];
    let pieces = [Piece { from: day(0), to: Timestamp(day(0).0 + HOUR_US) }];
    let bill = bill(&pieces, &lists(), &all, &[used(0, "a", "1", ArmRole::Stable, 5, Some(9))]);
    assert_eq!(line(&bill, "a", "1", ArmRole::Stable, Part::Busy), 1_200_000);
    assert_eq!(line(&bill, "a", "1", ArmRole::Stable, Part::Idle), 0);
}
