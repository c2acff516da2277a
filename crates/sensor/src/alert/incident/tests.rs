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

fn incidents(settings: AlertSettings) -> IncidentTracker {
    IncidentTracker::new(settings, Vec::new(), &classes())
}

/// A finding on a new flow, `at` seconds after the start.
fn finding(at: f64, host: u32, port: u16, class: u32) -> Finding {
    let time_nanos = START + (at * 1e9) as i64;
    let src = (IpAddr::from(host.to_be_bytes()), 40_000);
    let (key, direction) = FlowKey::new(src, ("10.0.0.9".parse().unwrap(), port), 6);
    let mut table = FlowTable::new(crate::flow::table::Limits { max_flows: 4, ..Default::default() });
    let packet = FlowPacket { time_nanos, key, direction, len: 60, payload_len: 0, tcp: None };
    let slot = table.add(&packet, |_| {});
    let flow = *table.get(slot).unwrap();
    let (score, threshold, source) = (0.999, 0.99, FindingSource::Model);
    Finding {
        time_nanos,
        packet: Some(7),
        initiator: src.0,
        flow,
        class,
        score,
        threshold,
        packets: 3,
        source,
    }
}

fn by_rule(finding: Finding) -> Finding {
    Finding { source: FindingSource::Rule(REFUSED), score: 12.0, threshold: 10.0, ..finding }
}

/// Events as text: stage, class, flows.
#[derive(Default)]
struct Log(Vec<String>);

impl Log {
    fn take(&mut self, all: &mut IncidentTracker) {
        for event in all.take_events() {
            let (stage, alert) = match &event {
                Event::IncidentOpened(alert) => ("opened", alert),
                Event::IncidentUpdated(alert) => ("updated", alert),
                Event::IncidentClosed(alert, _) => ("closed", alert),
                _ => panic!("{event:?}"),
            };
            self.0.push(format!("{stage} {} {}", alert.class, alert.incident.flows));
        }
    }
}

fn alerts(all: &mut IncidentTracker) -> Vec<Alert> {
    let alert = |event| match event {
        Event::IncidentOpened(alert) | Event::IncidentUpdated(alert) | Event::IncidentClosed(alert, _) => {
            *alert
        }
        event => panic!("{event:?}"),
    };
    all.take_events().into_iter().map(alert).collect()
}

fn add(all: &mut IncidentTracker, finding: &Finding) {
    all.finding(finding, &mut Vec::new);
}

fn feed(all: &mut IncidentTracker, log: &mut Log, finding: Finding) {
    all.tick(finding.time_nanos);
    add(all, &finding);
    log.take(all);
}

fn at(seconds: f64) -> i64 {
    START + (seconds * 1e9) as i64
}

#[test]
fn an_incident_opens_is_updated_and_closes_when_quiet() {
    let mut all = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..700_u16 {
        feed(&mut all, &mut log, finding(f64::from(n), 1, n, 1));
    }
    all.tick(at(699.0 + 299.0));
    log.take(&mut all);
    assert_eq!(log.0, ["opened scan_A 4", "updated scan_A 65", "updated scan_A 305"]);
    all.tick(at(699.0 + 301.0));
    let Some(Event::IncidentClosed(alert, CloseReason::Quiet)) = all.take_events().pop() else { panic!() };
    assert_eq!(alert.signature.id, 1_883_001);
    let incident = alert.incident;
    assert_eq!((incident.flows, incident.packets, incident.id), (700, 2_100, 1));
    assert_eq!((incident.targets.len(), incident.ports.len(), incident.more_ports), (1, MAX_PORTS, true));
    assert_eq!((incident.first_nanos, incident.last_nanos), (at(0.0), at(699.0)));
    assert_eq!((all.counters().open, all.counters().alerts), (0, 4));
    // Another one opens.
    for n in 0..5_u16 {
        feed(&mut all, &mut log, finding(2_000.0 + f64::from(n), 1, n, 1));
    }
    assert_eq!(log.0.last().unwrap(), "opened scan_A 4");
}

#[test]
fn too_few_findings_in_the_window_open_nothing() {
    let mut all = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..20_u16 {
        feed(&mut all, &mut log, finding(f64::from(n) * 40.0, 1, n, 1));
    }
    all.finish(at(900.0));
    log.take(&mut all);
    assert!(log.0.is_empty(), "{:?}", log.0);
    // A class that needs one finding opens when the traffic ends, at the latest.
    feed(&mut all, &mut log, finding(900.0, 1, 1, 3));
    all.finish(at(900.0));
    log.take(&mut all);
    assert_eq!(log.0, ["opened flood 1", "closed flood 1"]);
}

#[test]
fn a_small_share_of_another_class_opens_no_incident() {
    let mut all = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..400_u16 {
        // The first findings, and one in fifty later, have another class.
        let class = if n < 3 || n % 50 == 0 { 2 } else { 1 };
        feed(&mut all, &mut log, finding(f64::from(n) * 0.05, 1, n, class));
    }
    all.finish(at(20.0));
    let others: u64 = alerts(&mut all).iter().map(|alert| alert.incident.other_findings).sum();
    assert!(log.0.len() == 1 && log.0[0].starts_with("opened scan_A"), "{:?}", log.0);
    assert!((3..=10).contains(&others), "{others}");
}

#[test]
fn unknown_findings_are_part_of_a_known_attack_unless_there_are_more() {
    const UNKNOWN: u32 = 4;
    // `for_two` unknown findings for two of a known class.
    let opened = |for_two: u16| {
        let mut all = incidents(AlertSettings::default());
        let mut log = Log::default();
        for n in 0..100_u16 {
            feed(&mut all, &mut log, finding(f64::from(n) / 10.0, 1, n, 1));
            for more in (0..for_two).filter(|more| more % 2 == n % 2) {
                let port = 1_000 + 100 * more + n;
                feed(&mut all, &mut log, finding(f64::from(n) / 10.0, 1, port, UNKNOWN));
            }
        }
        all.finish(at(20.0));
        log.take(&mut all);
        log.0.iter().filter(|words| words.starts_with("opened")).cloned().collect::<Vec<_>>()
    };
    assert!(opened(1).iter().all(|words| words.contains("scan_A")), "{:?}", opened(1));
    assert!(opened(4).iter().any(|words| words.contains("unknown")), "{:?}", opened(4));
    // Alone they open an incident.
    let (mut all, mut log) = (incidents(AlertSettings::default()), Log::default());
    (0..20).for_each(|n| feed(&mut all, &mut log, finding(f64::from(n), 1, n, UNKNOWN)));
    assert!(log.0.iter().any(|words| words.starts_with("opened unknown")), "{:?}", log.0);
}

#[test]
fn a_second_attack_of_an_initiator_opens_once_the_first_has_decayed() {
    let mut all = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..2_000_u16 {
        feed(&mut all, &mut log, finding(f64::from(n) * 0.01, 1, n, 1));
    }
    for n in 0..40_u16 {
        feed(&mut all, &mut log, finding(20.0 + f64::from(n) * 2.0, 1, n, 2));
    }
    let opened: Vec<_> = log.0.iter().filter(|text| text.starts_with("opened")).collect();
    assert_eq!(opened.len(), 2, "{opened:?}");
    assert!(opened[1].starts_with("opened mqtt_bruteforce"));
}

#[test]
fn model_and_rule_share_an_incident_and_corroboration_is_required() {
    use Corroboration::*;
    for (wanted, model, rule, detected_by) in [
        (Any, true, false, Some("model")),
        (Any, false, true, Some("rule")),
        (Any, true, true, Some("model and rule")),
        (Model, false, true, None),
        (Model, true, true, Some("model and rule")),
        (ModelAndRule, true, false, None),
        (ModelAndRule, true, true, Some("model and rule")),
    ] {
        let mut all = incidents(AlertSettings { corroboration: wanted, ..AlertSettings::default() });
        for n in 0..4_u16 {
            let finding = finding(f64::from(n) * 0.1, 1, n, 2);
            let findings = [model.then_some(finding), rule.then_some(by_rule(finding))];
            findings.iter().flatten().for_each(|finding| add(&mut all, finding));
        }
        assert!(all.take_events().is_empty());
        all.tick(at(10.0));
        let alerts = alerts(&mut all);
        // A flow flagged by both counts once.
        assert!(alerts.iter().all(|alert| alert.incident.flows == 4));
        let opened: Vec<_> =
            alerts.iter().map(|alert| (alert.incident.detected_by().name(), alert.signature.id)).collect();
        let signature = if model { 1_883_004 } else { 1_883_103 };
        let expected: Vec<_> = detected_by.map(|by| (by, signature)).into_iter().collect();
        assert_eq!(opened, expected, "{wanted:?}");
    }
}

#[test]
fn findings_of_other_rules_are_part_of_the_models_incident() {
    let mut all = incidents(AlertSettings::default());
    for n in 0..30_u16 {
        let by_model = finding(f64::from(n) * 0.2, 1, n, 1);
        // The rule is first.
        add(&mut all, &by_rule(by_model));
        add(&mut all, &by_model);
    }
    all.finish(at(6.0));
    let alerts = alerts(&mut all);
    let classes: Vec<_> = alerts.iter().map(|alert| alert.class.as_str()).collect();
    assert_eq!(classes, ["scan_A", "scan_A"]);
    let last = &alerts[1].incident;
    assert_eq!((last.findings_by_rules, last.related_rules.as_slice()), (0, &[REFUSED][..]));
    assert!(last.other_findings > 20);
}

#[test]
fn the_cap_holds_under_many_sources_and_evictions_are_counted() {
    let cap = 64;
    let mut all = incidents(AlertSettings { max_incidents: cap, per_minute: u32::MAX, ..Default::default() });
    let (mut opened, mut evicted) = (0, 0);
    for n in 0..5_000_u32 {
        add(&mut all, &finding(f64::from(n) * 0.2, 100 + n, 1883, 3));
        for event in all.take_events() {
            match event {
                Event::IncidentOpened(_) => opened += 1,
                Event::IncidentClosed(_, CloseReason::Evicted) => evicted += 1,
                _ => {}
            }
        }
        assert!(all.counters().open <= cap as u64);
    }
    assert_eq!(opened - evicted, cap);
    assert!(all.counters().evicted > 4_800);
    // Candidates, too.
    let mut all = incidents(AlertSettings { max_incidents: cap, ..AlertSettings::default() });
    for n in 0..1_000_u32 {
        add(&mut all, &finding(0.001 * f64::from(n), 100 + n, 1883, 1));
        assert!(all.take_events().is_empty(), "one finding opens no incident");
    }
    assert_eq!(all.counters().evicted, 1_000 - cap as u64);
}

#[test]
fn alerts_over_the_rate_wait() {
    let mut all = incidents(AlertSettings { per_minute: 5, ..AlertSettings::default() });
    let mut log = Log::default();
    for n in 0..12 {
        feed(&mut all, &mut log, finding(f64::from(n) * 0.1, 100 + n, 1883, 3));
    }
    all.tick(at(10.0));
    log.take(&mut all);
    assert_eq!(log.0.len(), 5);
    for seconds in 10..200 {
        all.tick(at(f64::from(seconds)));
        log.take(&mut all);
    }
    // The classes whose candidates have not expired meanwhile.
    assert!(log.0.len() > 5 && all.counters().over_rate > 0, "{:?}", log.0);
}

#[test]
fn a_clock_set_back_and_late_packets_neither_close_nor_freeze_an_incident() {
    let mut all = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..10_u16 {
        feed(&mut all, &mut log, finding(7_200.0 + f64::from(n), 1, n, 1));
    }
    for n in 0..10_u16 {
        // An hour back, and every second finding ten seconds late.
        let late = if n % 2 == 0 { 10.0 } else { 0.0 };
        feed(&mut all, &mut log, finding(3_600.0 + f64::from(n) - late, 1, n, 1));
    }
    assert_eq!(log.0, ["opened scan_A 4"]);
    all.tick(at(3_600.0 + 9.0 + 301.0));
    log.take(&mut all);
    assert_eq!(log.0, ["opened scan_A 4", "closed scan_A 20"]);
}

#[test]
fn suppressed_findings_are_only_counted() {
    let entry = |text: &str| toml::from_str::<Suppression>(text).unwrap();
    let list = vec![entry("source = '0.0.0.0/24'\nclass = 'scan_A'"), entry("class = 'refused_mqtt'")];
    let mut all = IncidentTracker::new(AlertSettings::default(), list, &classes());
    let mut log = Log::default();
    for n in 0..5_u16 {
        feed(&mut all, &mut log, finding(f64::from(n), 1, n, 1));
        feed(&mut all, &mut log, by_rule(finding(f64::from(n), 2, n, 2)));
        feed(&mut all, &mut log, finding(f64::from(n), 1 << 20, n, 1));
    }
    assert_eq!((all.counters().suppressed, log.0.len()), (10, 1), "{:?}", log.0);
}

#[test]
fn incidents_continue_after_a_restart() {
    let mut first = incidents(AlertSettings::default());
    let mut log = Log::default();
    for n in 0..10_u16 {
        feed(&mut first, &mut log, finding(f64::from(n), 1, n, 1));
    }
    let snapshot = first.snapshot();
    let mut second = incidents(AlertSettings::default());
    assert!(second.restore(snapshot.clone()));
    for n in 10..20_u16 {
        feed(&mut second, &mut log, finding(f64::from(n), 1, n, 1));
    }
    second.finish(at(20.0));
    log.take(&mut second);
    assert_eq!(log.0, ["opened scan_A 4", "closed scan_A 20"]);
    let mut other = IncidentTracker::new(AlertSettings::default(), Vec::new(), &["normal".to_owned()]);
    assert!(!other.restore(snapshot));
    assert_eq!(other.counters().open, 0);
}
