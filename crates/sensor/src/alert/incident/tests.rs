use std::net::IpAddr;

use super::*;
use crate::flow::{FlowKey, FlowPacket, FlowTable};

const SECOND_NANOS: i64 = 1_000_000_000;
/// 2026-11-24.
const START: i64 = 1_795_478_400 * SECOND_NANOS;
const REFUSED: RuleId = RuleId(1_883_103);

fn classes() -> Vec<String> {
    ["normal", "scan_A", "mqtt_bruteforce", "flood"].map(str::to_owned).to_vec()
}

fn incidents(settings: AlertSettings) -> Incidents {
    Incidents::new(settings, Vec::new(), &classes())
}

/// A finding on a flow of its own, at so many seconds.
fn finding(at: f64, source: u32, port: u16, class: u32) -> Finding {
    let time_nanos = START + (at * 1e9) as i64;
    let src = (IpAddr::from(source.to_be_bytes()), 40_000);
    let (key, direction) = FlowKey::new(src, ("10.0.0.9".parse().unwrap(), port), 6);
    let mut table = FlowTable::new(crate::flow::table::Limits { max_flows: 4, ..Default::default() });
    let packet = FlowPacket { time_nanos, key, direction, len: 60, payload_len: 0, tcp: None };
    let slot = table.add(&packet, |_| {});
    let flow = *table.get(slot).unwrap();
    let (score, threshold, detector) = (0.999, 0.99, Detector::Model);
    Finding {
        time_nanos,
        packet: Some(7),
        initiator: src.0,
        flow,
        class,
        score,
        threshold,
        packets: 3,
        detector,
    }
}

fn by_rule(finding: Finding) -> Finding {
    Finding { detector: Detector::Rule(REFUSED), score: 12.0, threshold: 10.0, ..finding }
}

/// What was told, in words.
#[derive(Default)]
struct Heard(Vec<String>);

impl Heard {
    fn hear(&mut self) -> impl FnMut(Alert<'_>) {
        |alert| {
            let incident = alert.incident;
            self.0.push(format!("{} {} {}", alert.stage.name(), alert.kind, incident.flows));
        }
    }
}

fn feed(all: &mut Incidents, heard: &mut Heard, finding: Finding) {
    all.tick(finding.time_nanos, &mut heard.hear());
    all.finding(&finding, &mut heard.hear());
}

fn at(seconds: f64) -> i64 {
    START + (seconds * 1e9) as i64
}

#[test]
fn begins_once_is_told_now_and_then_and_ends_after_silence() {
    let mut all = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..700_u16 {
        feed(&mut all, &mut heard, finding(f64::from(n), 1, n, 1));
    }
    all.tick(at(699.0 + 299.0), &mut heard.hear());
    assert_eq!(heard.0, ["begin scan_A 4", "update scan_A 65", "update scan_A 305"]);
    let mut last = None;
    all.tick(at(699.0 + 301.0), &mut |alert| {
        last = Some((alert.stage, alert.incident.clone(), alert.signature.id));
    });
    let (stage, incident, signature) = last.unwrap();
    assert_eq!((stage, signature), (Stage::End(EndCause::Quiet), 1_883_001));
    assert_eq!((incident.flows, incident.packets, incident.id), (700, 2_100, 1));
    assert_eq!((incident.targets.len(), incident.ports.len(), incident.more_ports), (1, MOST_PORTS, true));
    assert_eq!((incident.first_nanos, incident.last_nanos), (at(0.0), at(699.0)));
    assert_eq!((all.counters().open, all.counters().alerts), (0, 4));
    // Another one begins anew.
    for n in 0..5_u16 {
        feed(&mut all, &mut heard, finding(2_000.0 + f64::from(n), 1, n, 1));
    }
    assert_eq!(heard.0.last().unwrap(), "begin scan_A 4");
}

#[test]
fn too_few_calls_in_the_window_begin_nothing() {
    let mut all = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..20_u16 {
        feed(&mut all, &mut heard, finding(f64::from(n) * 40.0, 1, n, 1));
    }
    all.finish(at(900.0), &mut heard.hear());
    assert!(heard.0.is_empty(), "{:?}", heard.0);
    // A class that needs one call has it, at the end at the latest.
    feed(&mut all, &mut heard, finding(900.0, 1, 1, 3));
    all.finish(at(900.0), &mut heard.hear());
    assert_eq!(heard.0, ["begin flood 1", "end flood 1"]);
}

#[test]
fn a_few_calls_of_another_kind_beside_many_are_no_incident_of_their_own() {
    let mut all = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..400_u16 {
        // The first calls, as one in fifty later, go by another name.
        let class = if n < 3 || n % 50 == 0 { 2 } else { 1 };
        feed(&mut all, &mut heard, finding(f64::from(n) * 0.05, 1, n, class));
    }
    let mut others = 0;
    all.finish(at(20.0), &mut |alert| others += alert.incident.others);
    assert!(heard.0.len() == 1 && heard.0[0].starts_with("begin scan_A"), "{:?}", heard.0);
    assert!((3..=10).contains(&others), "{others}");
}

#[test]
fn what_fits_no_class_is_told_with_a_known_attack_unless_there_is_more_of_it() {
    const UNKNOWN: u32 = 4;
    // So many that fit no class for two that are known.
    let told = |for_two: u16| {
        let mut all = incidents(AlertSettings::default());
        let mut heard = Heard::default();
        for n in 0..100_u16 {
            feed(&mut all, &mut heard, finding(f64::from(n) / 10.0, 1, n, 1));
            for more in (0..for_two).filter(|more| more % 2 == n % 2) {
                let port = 1_000 + 100 * more + n;
                feed(&mut all, &mut heard, finding(f64::from(n) / 10.0, 1, port, UNKNOWN));
            }
        }
        all.finish(at(20.0), &mut heard.hear());
        heard.0.iter().filter(|words| words.starts_with("begin")).cloned().collect::<Vec<_>>()
    };
    assert!(told(1).iter().all(|words| words.contains("scan_A")), "{:?}", told(1));
    assert!(told(4).iter().any(|words| words.contains("unknown")), "{:?}", told(4));
    // Alone it is told as ever.
    let (mut all, mut heard) = (incidents(AlertSettings::default()), Heard::default());
    (0..20).for_each(|n| feed(&mut all, &mut heard, finding(f64::from(n), 1, n, UNKNOWN)));
    assert!(heard.0.iter().any(|words| words.starts_with("begin unknown")), "{:?}", heard.0);
}

#[test]
fn a_second_attack_of_the_same_initiator_is_told_when_the_first_has_ebbed() {
    let mut all = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..2_000_u16 {
        feed(&mut all, &mut heard, finding(f64::from(n) * 0.01, 1, n, 1));
    }
    for n in 0..40_u16 {
        feed(&mut all, &mut heard, finding(20.0 + f64::from(n) * 2.0, 1, n, 2));
    }
    let begins: Vec<_> = heard.0.iter().filter(|text| text.starts_with("begin")).collect();
    assert_eq!(begins.len(), 2, "{begins:?}");
    assert!(begins[1].starts_with("begin mqtt_bruteforce"));
}

#[test]
fn model_and_rule_make_one_incident_and_the_level_wanted_is_kept() {
    use Corroboration::*;
    for (wanted, model, rule, found) in [
        (Any, true, false, Some("model")),
        (Any, false, true, Some("rule")),
        (Any, true, true, Some("model and rule")),
        (Model, false, true, None),
        (Model, true, true, Some("model and rule")),
        (ModelAndRule, true, false, None),
        (ModelAndRule, true, true, Some("model and rule")),
    ] {
        let mut all = incidents(AlertSettings { corroboration: wanted, ..AlertSettings::default() });
        let mut told = Vec::new();
        for n in 0..4_u16 {
            let call = finding(f64::from(n) * 0.1, 1, n, 2);
            let calls = [model.then_some(call), rule.then_some(by_rule(call))];
            for call in calls.into_iter().flatten() {
                all.finding(&call, &mut |alert| {
                    told.push((alert.incident.found().name(), alert.signature.id));
                });
            }
        }
        all.tick(at(10.0), &mut |alert| {
            told.push((alert.incident.found().name(), alert.signature.id));
            // A flow that both called counts once.
            assert_eq!(alert.incident.flows, 4);
        });
        let name = if model { 1_883_004 } else { 1_883_103 };
        assert_eq!(told, found.map(|found| (found, name)).into_iter().collect::<Vec<_>>(), "{wanted:?}");
    }
}

#[test]
fn what_other_rules_see_of_an_attack_that_the_model_calls_is_told_with_it() {
    let mut all = incidents(AlertSettings::default());
    let mut told = Vec::new();
    for n in 0..30_u16 {
        let call = finding(f64::from(n) * 0.2, 1, n, 1);
        let beside = by_rule(finding(f64::from(n) * 0.2, 1, n, 1));
        // The rule is first.
        for call in [beside, call] {
            all.finding(&call, &mut |alert| told.push((alert.kind.to_owned(), alert.incident.clone())));
        }
    }
    all.finish(at(6.0), &mut |alert| told.push((alert.kind.to_owned(), alert.incident.clone())));
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["scan_A", "scan_A"]);
    let last = &told[1].1;
    assert_eq!((last.rule_calls, last.rules_beside.as_slice()), (0, &[REFUSED][..]));
    assert!(last.others > 20);
}

#[test]
fn the_cap_holds_under_many_sources_and_counts_who_had_to_go() {
    let cap = 64;
    let mut all = incidents(AlertSettings { max_incidents: cap, per_minute: u32::MAX, ..Default::default() });
    let (mut begun, mut ended) = (0, 0);
    for n in 0..5_000_u32 {
        let call = finding(f64::from(n) * 0.2, 100 + n, 1883, 3);
        all.finding(&call, &mut |alert| match alert.stage {
            Stage::Begin => begun += 1,
            Stage::End(EndCause::Evicted) => ended += 1,
            _ => {}
        });
        assert!(all.counters().open <= cap as u64);
    }
    assert_eq!(begun - ended, cap);
    assert!(all.counters().evicted > 4_800);
    // Candidates, too.
    let mut all = incidents(AlertSettings { max_incidents: cap, ..AlertSettings::default() });
    for n in 0..1_000_u32 {
        let call = finding(0.001 * f64::from(n), 100 + n, 1883, 1);
        all.finding(&call, &mut |_| panic!("one call begins nothing"));
    }
    assert_eq!(all.counters().evicted, 1_000 - cap as u64);
}

#[test]
fn more_alerts_than_a_minute_may_have_wait() {
    let mut all = incidents(AlertSettings { per_minute: 5, ..AlertSettings::default() });
    let mut heard = Heard::default();
    for n in 0..12 {
        feed(&mut all, &mut heard, finding(f64::from(n) * 0.1, 100 + n, 1883, 3));
    }
    all.tick(at(10.0), &mut heard.hear());
    assert_eq!(heard.0.len(), 5);
    for seconds in 10..200 {
        all.tick(at(f64::from(seconds)), &mut heard.hear());
    }
    // Those whose candidates were not forgotten meanwhile.
    assert!(heard.0.len() > 5 && all.counters().over_rate > 0, "{:?}", heard.0);
}

#[test]
fn a_clock_set_back_and_packets_out_of_order_neither_end_nor_freeze_an_incident() {
    let mut all = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..10_u16 {
        feed(&mut all, &mut heard, finding(7_200.0 + f64::from(n), 1, n, 1));
    }
    for n in 0..10_u16 {
        // An hour back, and every second call ten seconds late.
        let late = if n % 2 == 0 { 10.0 } else { 0.0 };
        feed(&mut all, &mut heard, finding(3_600.0 + f64::from(n) - late, 1, n, 1));
    }
    assert_eq!(heard.0, ["begin scan_A 4"]);
    all.tick(at(3_600.0 + 9.0 + 301.0), &mut heard.hear());
    assert_eq!(heard.0, ["begin scan_A 4", "end scan_A 20"]);
}

#[test]
fn what_is_suppressed_is_counted_and_nothing_else() {
    let entry = |text: &str| toml::from_str::<Suppression>(text).unwrap();
    let list = vec![entry("source = '0.0.0.0/24'\nclass = 'scan_A'"), entry("class = 'refused_mqtt'")];
    let mut all = Incidents::new(AlertSettings::default(), list, &classes());
    let mut heard = Heard::default();
    for n in 0..5_u16 {
        feed(&mut all, &mut heard, finding(f64::from(n), 1, n, 1));
        feed(&mut all, &mut heard, by_rule(finding(f64::from(n), 2, n, 2)));
        feed(&mut all, &mut heard, finding(f64::from(n), 1 << 20, n, 1));
    }
    assert_eq!((all.counters().suppressed, heard.0.len()), (10, 1), "{:?}", heard.0);
}

#[test]
fn what_is_kept_goes_on_after_a_restart() {
    let mut first = incidents(AlertSettings::default());
    let mut heard = Heard::default();
    for n in 0..10_u16 {
        feed(&mut first, &mut heard, finding(f64::from(n), 1, n, 1));
    }
    let kept = first.keep();
    let mut second = incidents(AlertSettings::default());
    assert!(second.take_up(kept.clone()));
    for n in 10..20_u16 {
        feed(&mut second, &mut heard, finding(f64::from(n), 1, n, 1));
    }
    second.finish(at(20.0), &mut heard.hear());
    assert_eq!(heard.0, ["begin scan_A 4", "end scan_A 20"]);
    let mut other = Incidents::new(AlertSettings::default(), Vec::new(), &["normal".to_owned()]);
    assert!(!other.take_up(kept));
    assert_eq!(other.counters().open, 0);
}
