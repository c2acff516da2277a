//! The columns of each feature level: one table each, from which the CSV header, the Arrow schema, `docs/schema.md` and
//! the trainers' choice of columns are derived.
//!
//! In: nothing. Out: [`Column`]s with name, kind, unit, role and the Wireshark field that defines the value.

mod flow;
mod nsl_kdd;

pub use flow::{BIFLOW, BIFLOW_EXTENDED, UNIFLOW, UNIFLOW_EXTENDED};
pub(crate) use flow::{BIFLOW_EXTRA, UNIFLOW_EXTRA};
pub use nsl_kdd::NSL_KDD;

/// The role of a column in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Endpoint identifiers: addresses and ports. Never a feature by default.
    Identity,
    /// Absolute time. Never a feature by default: in recordings made one after another, it gives away the class.
    Time,
    /// A feature.
    Feature,
    /// A label.
    Label,
}

impl Role {
    /// The role's name as `docs/schema.md` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Identity => "identity",
            Role::Time => "time",
            Role::Feature => "feature",
            Role::Label => "label",
        }
    }
}

/// The type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Microseconds since 1970-01-01 UTC; in CSV `2020-02-14 16:45:36.818127`.
    Timestamp,
    /// Text from a small set (addresses, protocol names).
    Text,
    /// An unsigned integer below 2^32.
    UInt,
    /// 0 or 1.
    Flag,
    /// A 64-bit float.
    Float,
}

impl Kind {
    /// The kind's name as `docs/schema.md` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Timestamp => "timestamp",
            Kind::Text => "text",
            Kind::UInt => "integer",
            Kind::Flag => "0 or 1",
            Kind::Float => "float",
        }
    }
}

/// One column of a feature level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The data set's name of the column, verbatim.
    pub name: &'static str,
    /// Type of the values.
    pub kind: Kind,
    /// Role in training.
    pub role: Role,
    /// Unit of the values; empty if they have none.
    pub unit: &'static str,
    /// The Wireshark display field with the same value; empty if there is none.
    pub wireshark: &'static str,
    /// Meaning of the value, in a few words.
    pub meaning: &'static str,
}

const fn column(
    name: &'static str,
    kind: Kind,
    role: Role,
    unit: &'static str,
    wireshark: &'static str,
    meaning: &'static str,
) -> Column {
    Column { name, kind, role, unit, wireshark, meaning }
}

/// The packet level of MQTT-IoT-IDS2020: 31 columns in the published order, the label last.
pub const PACKET: [Column; 31] = {
    use Kind::{Flag, Text, Timestamp, UInt};
    use Role::{Feature, Identity, Label, Time};
    [
        column("timestamp", Timestamp, Time, "UTC", "frame.time_epoch", "capture time of the packet"),
        column("src_ip", Text, Identity, "", "ip.src, ipv6.src", "sender's address"),
        column("dst_ip", Text, Identity, "", "ip.dst, ipv6.dst", "receiver's address"),
        column("protocol", Text, Feature, "", "_ws.col.Protocol", "highest recognised layer"),
        column("ttl", UInt, Feature, "hops", "ip.ttl, ipv6.hlim", "time to live, or hop limit"),
        column("ip_len", UInt, Feature, "bytes", "ip.len", "IP datagram with its header; IPv6: 40 + payload"),
        column("ip_flag_df", Flag, Feature, "", "ip.flags.df", "don't fragment; empty for IPv6"),
        column("ip_flag_mf", Flag, Feature, "", "ip.flags.mf", "more fragments; empty for IPv6"),
        column("ip_flag_rb", Flag, Feature, "", "ip.flags.rb", "reserved bit; empty for IPv6"),
        column("src_port", UInt, Identity, "", "tcp.srcport, udp.srcport", "sender's port"),
        column("dst_port", UInt, Identity, "", "tcp.dstport, udp.dstport", "receiver's port"),
        column("tcp_flag_res", Flag, Feature, "", "tcp.flags.res", "any of the reserved bits"),
        column("tcp_flag_ns", Flag, Feature, "", "tcp.flags.ns", "nonce sum, now accurate ECN"),
        column("tcp_flag_cwr", Flag, Feature, "", "tcp.flags.cwr", "congestion window reduced"),
        column("tcp_flag_ecn", Flag, Feature, "", "tcp.flags.ecn", "ECN echo"),
        column("tcp_flag_urg", Flag, Feature, "", "tcp.flags.urg", "urgent"),
        column("tcp_flag_ack", Flag, Feature, "", "tcp.flags.ack", "acknowledgement"),
        column("tcp_flag_push", Flag, Feature, "", "tcp.flags.push", "push"),
        column("tcp_flag_reset", Flag, Feature, "", "tcp.flags.reset", "reset"),
        column("tcp_flag_syn", Flag, Feature, "", "tcp.flags.syn", "synchronise"),
        column("tcp_flag_fin", Flag, Feature, "", "tcp.flags.fin", "finish"),
        column(
            "mqtt_messagetype",
            UInt,
            Feature,
            "",
            "mqtt.msgtype",
            "type of the first MQTT message that ends in the packet",
        ),
        column("mqtt_messagelength", UInt, Feature, "bytes", "mqtt.len", "Remaining Length of that message"),
        column("mqtt_flag_uname", Flag, Feature, "", "mqtt.conflag.uname", "CONNECT: user name present"),
        column("mqtt_flag_passwd", Flag, Feature, "", "mqtt.conflag.passwd", "CONNECT: password present"),
        column("mqtt_flag_retain", Flag, Feature, "", "mqtt.conflag.retain", "CONNECT: Will Retain"),
        column("mqtt_flag_qos", UInt, Feature, "", "mqtt.conflag.qos", "CONNECT: Will QoS"),
        column("mqtt_flag_willflag", Flag, Feature, "", "mqtt.conflag.willflag", "CONNECT: Will present"),
        column(
            "mqtt_flag_clean",
            Flag,
            Feature,
            "",
            "mqtt.conflag.cleansess",
            "CONNECT: clean session or start",
        ),
        column("mqtt_flag_reserved", Flag, Feature, "", "mqtt.conflag.reserved", "CONNECT: reserved bit"),
        column("is_attack", Flag, Label, "", "", "the attacker sends or receives it; empty if unknown"),
    ]
};

/// The optional last column of a file of several captures: each row's scenario, from the manifest.
pub const SCENARIO: Column =
    column("scenario", Kind::Text, Role::Label, "", "", "scenario of the capture, from its manifest");

/// A feature level: what a row represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// A row per TCP segment or UDP datagram.
    Packet,
    /// A row per direction of an IPv4 5-tuple over the whole capture.
    Uniflow,
    /// The same, with the columns that the data set's scripts compute but its published files lack.
    UniflowExtended,
    /// A row per IPv4 5-tuple over the whole capture, both directions.
    Biflow,
    /// The same, with the columns that the data set's scripts compute but its published files lack.
    BiflowExtended,
    /// A vector per packet of a flow of the policy `live`: the input of a sequence model.
    Sequence,
    /// A row of the data set NSL-KDD, which is read, never extracted.
    NslKdd,
}

impl Level {
    /// The level's name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Packet => "packet",
            Level::Uniflow => "uniflow",
            Level::UniflowExtended => "uniflow-extended",
            Level::Biflow => "biflow",
            Level::BiflowExtended => "biflow-extended",
            Level::Sequence => "sequence",
            Level::NslKdd => "nsl-kdd",
        }
    }

    /// The level's columns in their published order.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Level::Packet => &PACKET,
            Level::Uniflow => &UNIFLOW,
            Level::UniflowExtended => &UNIFLOW_EXTENDED,
            Level::Biflow => &BIFLOW,
            Level::BiflowExtended => &BIFLOW_EXTENDED,
            Level::Sequence => &super::sequence::SEQUENCE,
            Level::NslKdd => &NSL_KDD,
        }
    }
}

/// The level's table in Markdown, as in `docs/schema.md`.
pub fn markdown(level: Level) -> String {
    let mut table =
        String::from("| column | kind | role | unit | Wireshark | meaning |\n|---|---|---|---|---|---|\n");
    for c in level.columns() {
        let (kind, role) = (c.kind.name(), c.role.name());
        table +=
            &format!("| {} | {kind} | {role} | {} | {} | {} |\n", c.name, c.unit, c.wireshark, c.meaning);
    }
    table
}
