//! The flow levels of MQTT-IoT-IDS2020: uniflows (one direction of a 5-tuple) and biflows (both).

use super::{Column, Kind, Role, column};

/// Indices in [`UNIFLOW_EXTENDED`] of the columns that the scripts compute but the published files lack.
pub(crate) const UNIFLOW_EXTRA: [usize; 1] = [10];
/// Indices in [`BIFLOW_EXTENDED`] of the columns that the scripts compute but the published files lack.
pub(crate) const BIFLOW_EXTRA: [usize; 4] = [15, 16, 33, 34];

/// The uniflow level with all columns of the extraction scripts, the label last.
pub const UNIFLOW_EXTENDED: [Column; 20] = {
    use Kind::{Flag, Float, UInt};
    use Role::{Feature, Label};
    let [ip_src, ip_dst, prt_src, prt_dst, proto] = ENDPOINTS;
    [
        ip_src,
        ip_dst,
        prt_src,
        prt_dst,
        proto,
        column("num_pkts", UInt, Feature, "packets", "", "packets of this direction"),
        column("mean_iat", Float, Feature, "s", "", "mean inter-arrival time; 0 for one packet"),
        column(
            "std_iat",
            Float,
            Feature,
            "s",
            "",
            "population standard deviation of the inter-arrival times",
        ),
        column("min_iat", Float, Feature, "s", "", "shortest inter-arrival time"),
        column("max_iat", Float, Feature, "s", "", "longest inter-arrival time"),
        column("mean_offset", Float, Feature, "s", "", "mean time from the first packet to each later one"),
        column("mean_pkt_len", Float, Feature, "bytes", "", "mean length of the IP datagrams"),
        column("num_bytes", Float, Feature, "bytes", "", "sum of the IP datagrams' lengths"),
        column("num_psh_flags", UInt, Feature, "packets", "", "segments with PSH"),
        column("num_rst_flags", UInt, Feature, "packets", "", "segments with RST"),
        column("num_urg_flags", UInt, Feature, "packets", "", "segments with URG"),
        column("std_pkt_len", Float, Feature, "bytes", "", "population standard deviation of the lengths"),
        column("min_pkt_len", UInt, Feature, "bytes", "", "shortest IP datagram"),
        column("max_pkt_len", UInt, Feature, "bytes", "", "longest IP datagram"),
        column("is_attack", Flag, Label, "", "", "the attacker sends or receives it; empty if unknown"),
    ]
};

/// The uniflow level: 19 columns in the published order, the label last.
pub const UNIFLOW: [Column; 19] = without(&UNIFLOW_EXTENDED, &UNIFLOW_EXTRA);

/// The forward and the backward variant of a column.
macro_rules! pair {
    ($name:literal, $kind:expr, $unit:literal, $meaning:literal) => {
        [
            column(concat!("fwd_", $name), $kind, Role::Feature, $unit, "", concat!("forward: ", $meaning)),
            column(concat!("bwd_", $name), $kind, Role::Feature, $unit, "", concat!("backward: ", $meaning)),
        ]
    };
}

const PAIRS: [[Column; 2]; 14] = {
    use Kind::{Float, UInt};
    [
        pair!("num_pkts", UInt, "packets", "packets"),
        pair!("mean_iat", Float, "s", "mean inter-arrival time; 0 for one packet"),
        pair!("std_iat", Float, "s", "population standard deviation of the inter-arrival times"),
        pair!("min_iat", Float, "s", "shortest inter-arrival time"),
        pair!("max_iat", Float, "s", "longest inter-arrival time"),
        pair!("mean_offset", Float, "s", "mean time from the first packet to each later one"),
        pair!("mean_pkt_len", Float, "bytes", "mean length of the IP datagrams"),
        pair!("std_pkt_len", Float, "bytes", "population standard deviation of the lengths"),
        pair!("min_pkt_len", UInt, "bytes", "shortest IP datagram"),
        pair!("max_pkt_len", UInt, "bytes", "longest IP datagram"),
        pair!("num_bytes", Float, "bytes", "sum of the IP datagrams' lengths"),
        pair!("num_psh_flags", UInt, "packets", "segments with PSH"),
        pair!("num_rst_flags", UInt, "packets", "segments with RST"),
        pair!("num_urg_flags", UInt, "packets", "segments with URG"),
    ]
};

const SOURCE: [Column; 3] = [
    column("num_src_flows", Kind::UInt, Role::Feature, "flows", "", "biflows from the same source"),
    column(
        "src_ip_dst_prt_delta",
        Kind::Float,
        Role::Feature,
        "",
        "",
        "mean gap of the source's sorted destination ports (1: a sequential scan); the port itself for one biflow",
    ),
    column(
        "is_attack",
        Kind::Flag,
        Role::Label,
        "",
        "",
        "the attacker is one of its endpoints; empty if unknown",
    ),
];

/// The biflow level with all columns of the extraction scripts, the label last.
pub const BIFLOW_EXTENDED: [Column; 36] = {
    let mut all = [ENDPOINTS[0]; 36];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at {
            0..5 => ENDPOINTS[at],
            5..33 => PAIRS[(at - 5) / 2][(at - 5) % 2],
            _ => SOURCE[at - 33],
        };
        at += 1;
    }
    all
};

/// The biflow level: 32 columns in the published order, the label last.
pub const BIFLOW: [Column; 32] = without(&BIFLOW_EXTENDED, &BIFLOW_EXTRA);

const ENDPOINTS: [Column; 5] = [
    column(
        "ip_src",
        Kind::Text,
        Role::Identity,
        "",
        "ip.src",
        "sender's address; for a biflow the sender of its first packet",
    ),
    column("ip_dst", Kind::Text, Role::Identity, "", "ip.dst", "receiver's address"),
    column("prt_src", Kind::UInt, Role::Identity, "", "tcp.srcport, udp.srcport", "sender's port"),
    column("prt_dst", Kind::UInt, Role::Identity, "", "tcp.dstport, udp.dstport", "receiver's port"),
    column("proto", Kind::UInt, Role::Feature, "", "ip.proto", "6 for TCP, 17 for UDP"),
];

/// `all` without the columns at the ascending indices in `skip`. Checks the lengths at compile time.
const fn without<const ALL: usize, const REST: usize, const SKIPPED: usize>(
    all: &[Column; ALL],
    skip: &[usize; SKIPPED],
) -> [Column; REST] {
    assert!(REST + SKIPPED == ALL, "the number of columns does not match");
    let mut rest = [all[0]; REST];
    let (mut from, mut to, mut skipped) = (0, 0, 0);
    while from < ALL {
        if skipped < SKIPPED && skip[skipped] == from {
            skipped += 1;
        } else {
            rest[to] = all[from];
            to += 1;
        }
        from += 1;
    }
    rest
}
