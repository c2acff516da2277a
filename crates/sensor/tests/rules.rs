//! Rules: what each of them flags, and what it does not.
#![allow(clippy::unwrap_used)] // tests

use citronella_sensor::{
    alert::{
        rules::Rules,
        settings::{RuleSettings, Threshold},
        signature,
    },
    detect::{FindingSource, RuleContext, RuleId},
    feature::sequence::{Config, SequenceLevel},
    flow::table,
};
use citronella_wire::{LinkType, decode_frame};

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const PSH_ACK: u8 = 24;
const FIN_ACK: u8 = 17;
const PINGREQ: &[u8] = b"\xc0\x00";
const CLASSES: u32 = 8;

/// A TCP segment over IPv4 over Ethernet.
fn segment(src: (u8, u16), dst: (u8, u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    bytes.extend([8, 0, 0x45, 0]);
    bytes.extend((40 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, src.0, 10, 0, 0, dst.0]);
    bytes.extend(src.1.to_be_bytes());
    bytes.extend(dst.1.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fn connect(client: &str, user: Option<&str>, keep_alive: u16) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT\x04".to_vec();
    body.push(if user.is_some() { 0x82 } else { 0x02 });
    body.extend(keep_alive.to_be_bytes());
    for text in std::iter::once(client).chain(user) {
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    }
    [&[0x10, body.len() as u8][..], &body].concat()
}

fn subscribe(filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1, 0, filter.len() as u8];
    body.extend(filter.as_bytes());
    body.push(0);
    [&[0x82, body.len() as u8][..], &body].concat()
}

/// A client's connection: ports and sequence numbers.
struct Client {
    end: (u8, u16),
    seqs: [u32; 2],
}

struct Net {
    level: SequenceLevel,
    rules: Rules,
    packets: u64,
    /// Keys of the rules that flagged a packet, in order.
    flagged: Vec<&'static str>,
}

const BROKER: (u8, u16) = (9, 1883);

impl Net {
    fn new(settings: RuleSettings) -> Net {
        let flows = table::Limits { max_flows: 1_024, ..table::Limits::default() };
        let level = SequenceLevel::new(Config { flows, ..Config::default() });
        Net { level, rules: Rules::new(settings), packets: 0, flagged: Vec::new() }
    }

    fn packet(&mut self, at: f64, bytes: &[u8]) {
        let time_nanos = 1_795_478_400_000_000_000 + (at * 1e9) as i64;
        self.packets += 1;
        self.rules.start(time_nanos);
        let row = self.level.frame(time_nanos, &decode_frame(LinkType::Ethernet, bytes)).unwrap();
        let flow = self.level.flow(row.slot).unwrap();
        let Some(facts) = self.level.facts() else { return };
        let context = RuleContext { time_nanos, packet: self.packets, flow, classes: CLASSES };
        self.rules.judge(facts, &context, |finding| {
            assert_eq!((finding.class, finding.initiator), (CLASSES, flow.src().0));
            assert!(finding.score >= finding.threshold);
            let FindingSource::Rule(id) = finding.source else { panic!("{finding:?}") };
            self.flagged.push(signature::rule(id).unwrap().key);
        });
    }

    fn open(&mut self, at: f64, end: (u8, u16)) -> Client {
        self.packet(at, &segment(end, BROKER, 99, SYN, b""));
        self.packet(at, &segment(BROKER, end, 899, SYN_ACK, b""));
        Client { end, seqs: [100, 900] }
    }

    fn send(&mut self, at: f64, client: &mut Client, from_client: bool, bytes: &[u8]) {
        let way = usize::from(!from_client);
        let (src, dst) = if from_client { (client.end, BROKER) } else { (BROKER, client.end) };
        self.packet(at, &segment(src, dst, client.seqs[way], PSH_ACK, bytes));
        client.seqs[way] += bytes.len() as u32;
    }

    /// A login, answered with a code.
    fn login(&mut self, at: f64, end: (u8, u16), hello: &[u8], code: u8) -> Client {
        let mut client = self.open(at, end);
        self.send(at, &mut client, true, hello);
        self.send(at, &mut client, false, &[0x20, 2, 0, code]);
        client
    }

    fn count(&self, key: &str) -> usize {
        self.flagged.iter().filter(|flagged| **flagged == key).count()
    }
}

fn only(set: impl FnOnce(&mut RuleSettings)) -> RuleSettings {
    let off = Threshold(None);
    let mut settings = RuleSettings {
        keep_alive: off,
        held: off,
        refused_mqtt: off,
        refused_ssh: off,
        user_names: off,
        client_ids: off,
        wildcard: off,
        violations: off,
    };
    set(&mut settings);
    settings
}

#[test]
fn refused_logins_are_flagged_from_the_threshold_on_and_a_mistyped_password_is_not() {
    let mut net = Net::new(RuleSettings::default());
    for n in 0..9 {
        net.login(f64::from(n) * 0.1, (5, 40_000 + n), &connect("c", Some("u"), 60), 5);
    }
    assert_eq!(net.flagged, Vec::<&str>::new());
    for n in 9..14 {
        net.login(f64::from(n) * 0.1, (5, 40_000 + n), &connect("c", Some("u"), 60), 5);
    }
    assert!(net.count("refused_mqtt") >= 3 && net.count("refused_mqtt") == net.flagged.len());
    // Ten minutes later the counts have decayed.
    net.flagged.clear();
    net.login(600.0, (5, 50_000), &connect("c", Some("u"), 60), 5);
    assert_eq!(net.flagged, Vec::<&str>::new());
}

#[test]
fn connections_held_without_use_are_flagged_and_used_ones_are_not() {
    for (used, findings) in [(false, 6), (true, 0)] {
        let mut net = Net::new(RuleSettings::default());
        for n in 0..25 {
            let at = f64::from(n) * 2.0;
            let mut client = net.login(at, (5, 40_000 + n), &connect("c", None, 600), 0);
            if used {
                net.send(at + 0.1, &mut client, true, &subscribe("a/b"));
            }
        }
        assert_eq!(net.count("held"), findings, "used: {used}");
    }
}

#[test]
fn a_silence_of_more_than_one_and_a_half_keep_alives_counts_once() {
    let mut net = Net::new(only(|set| set.keep_alive = Threshold(Some(2.5))));
    let hello = connect("c", None, 60);
    let mut clients: Vec<_> = (0..4).map(|n| net.login(0.0, (5, 40_000 + n), &hello, 0)).collect();
    for client in &mut clients {
        // 80 s are allowed (MQTT-3.1.2-24: 90 s); the PINGREQ restarts the interval.
        net.send(80.0, client, true, PINGREQ);
    }
    assert_eq!(net.flagged, Vec::<&str>::new());
    for (n, client) in clients.iter_mut().enumerate() {
        // The client is silent for 95 s until its FIN; what the broker sends meanwhile does not count.
        net.send(120.0, client, false, b"\xd0\x00");
        let end = segment(BROKER, client.end, client.seqs[1], FIN_ACK, b"");
        net.packet(175.0, &end);
        net.packet(175.1, &end);
        assert_eq!(net.flagged.len(), (n + 1).saturating_sub(2), "after {} silences", n + 1);
    }
    // A keep-alive of 0 turns it off.
    let mut net = Net::new(only(|set| set.keep_alive = Threshold(Some(0.5))));
    let mut client = net.login(0.0, (5, 40_000), &connect("c", None, 0), 0);
    net.send(500.0, &mut client, true, PINGREQ);
    assert_eq!(net.flagged, Vec::<&str>::new());
}

#[test]
fn names_that_keep_changing_are_flagged() {
    let mut net = Net::new(only(|set| {
        (set.user_names, set.client_ids) = (Threshold(Some(10.0)), Threshold(Some(30.0)));
    }));
    for n in 0..20 {
        // The same names again are not new.
        net.login(0.0, (5, 40_000 + n), &connect("c", Some("u"), 60), 0);
    }
    assert_eq!(net.flagged, Vec::<&str>::new());
    for n in 0..60 {
        let name = format!("name{n}");
        net.login(1.0, (5, 41_000 + n), &connect(&name, Some(&name), 60), 0);
    }
    assert!(net.count("user_names") > 30 && net.count("client_ids") > 10);
}

#[test]
fn only_a_new_client_with_a_wildcard_subscription_is_flagged() {
    let mut net = Net::new(RuleSettings::default());
    let hello = connect("c", None, 60);
    let subscribe_to = |net: &mut Net, at: f64, host: u8, filter: &str| {
        let mut client = net.login(at, (host, 40_000 + u16::from(host)), &hello, 0);
        net.send(at, &mut client, true, &subscribe(filter));
        std::mem::take(&mut net.flagged)
    };
    // A host seen at the sensor's start is not new, whatever it subscribes to and whenever.
    assert_eq!(subscribe_to(&mut net, 0.0, 1, "#"), Vec::<&str>::new());
    for at in 1..20 {
        net.packet(f64::from(at) * 40.0, &segment((1, 50_000), BROKER, 1, SYN, b""));
    }
    assert_eq!(subscribe_to(&mut net, 770.0, 1, "#"), Vec::<&str>::new());
    for (host, filter, flagged) in
        [(2, "#", true), (3, "$SYS/#", true), (4, "sensors/#", false), (5, "$SYS/broker/uptime", false)]
    {
        assert_eq!(!subscribe_to(&mut net, 780.0, host, filter).is_empty(), flagged, "{filter}");
    }
}

#[test]
fn violations_of_the_standard_are_flagged_by_their_rate() {
    let mut net = Net::new(RuleSettings::default());
    for n in 0..40 {
        // QoS 3.
        let mut client = net.login(f64::from(n), (5, 40_000 + n), &connect("c", None, 60), 0);
        net.send(f64::from(n), &mut client, true, b"\x36\x05\x00\x01a\x00\x01");
    }
    // One a second stays under 20 in about 10 s.
    assert_eq!(net.count("violations"), 0);
    for n in 0..40 {
        let at = 40.0 + f64::from(n) * 0.1;
        let mut client = net.login(at, (5, 41_000 + n), &connect("c", None, 60), 0);
        net.send(at, &mut client, true, b"\x36\x05\x00\x01a\x00\x01");
    }
    assert!(net.count("violations") > 10);
    assert_eq!(signature::rule(RuleId(1_883_108)).unwrap().class, Some("malformed"));
}
