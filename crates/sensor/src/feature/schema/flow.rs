//! The flow levels of MQTT-IoT-IDS2020: uniflows (one direction of a 5-tuple) and biflows (both).

use super::{Column, Kind, Role, column};

/// Places in [`UNIFLOW_EXTENDED`] of the columns that the scripts compute and the published files leave out.
pub(crate) const UNIFLOW_EXTRA: [usize; 1] = [10];
/// Places in [`BIFLOW_EXTENDED`] of the columns that the scripts compute and the published files leave out.
pub(crate) const BIFLOW_EXTRA: [usize; 4] = [15, 16, 33, 34];

/// The uniflow level with all columns of the extraction scripts, the label last.
pub const UNIFLOW_EXTENDED: [Column; 20] = {
    use Kind::{Flag, Float, UInt};
    use Role::{Feature, Label};
    let [ip_src, ip_dst, prt_src, prt_dst, proto] = ENDS;
    [
        ip_src,
        ip_dst,
        prt_src,
        prt_dst,
        proto,
        column("num_pkts", UInt, Feature, "packets", "", "packets of this direction"),
        column("mean_iat", Float, Feature, "s", "", "mean inter-arrival time; 0 for one packet"),
        column("std_iat", Float, Feature, "s", "", "its population standard deviation"),
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

/// Forward and backward twin of a column.
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
        pair!("std_iat", Float, "s", "its population standard deviation"),
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
        "mean gap of that source's sorted destination ports (1: a sequential scan); its port if it has one biflow",
    ),
    column("is_attack", Kind::Flag, Role::Label, "", "", "the attacker is an end of it; empty if unknown"),
];

/// The biflow level with all columns of the extraction scripts, the label last.
pub const BIFLOW_EXTENDED: [Column; 36] = {
    let mut all = [ENDS[0]; 36];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at {
            0..5 => ENDS[at],
            5..33 => PAIRS[(at - 5) / 2][(at - 5) % 2],
            _ => SOURCE[at - 33],
        };
        at += 1;
    }
    all
};

/// The biflow level: 32 columns in the published order, the label last.
pub const BIFLOW: [Column; 32] = without(&BIFLOW_EXTENDED, &BIFLOW_EXTRA);

const ENDS: [Column; 5] = [
    column(
        "ip_src",
        Kind::Text,
        Role::Identity,
        "",
        "ip.src",
        "sender's address; of a biflow its first packet's",
    ),
    column("ip_dst", Kind::Text, Role::Identity, "", "ip.dst", "receiver's address"),
    column("prt_src", Kind::UInt, Role::Identity, "", "tcp.srcport, udp.srcport", "sender's port"),
    column("prt_dst", Kind::UInt, Role::Identity, "", "tcp.dstport, udp.dstport", "receiver's port"),
    column("proto", Kind::UInt, Role::Feature, "", "ip.proto", "6 for TCP, 17 for UDP"),
];

/// `all` without the places in `skip`, which ascend. The lengths are held together when this is compiled.
const fn without<const ALL: usize, const KEPT: usize, const SKIPPED: usize>(
    all: &[Column; ALL],
    skip: &[usize; SKIPPED],
) -> [Column; KEPT] {
    assert!(KEPT + SKIPPED == ALL, "a column is lost");
    let mut kept = [all[0]; KEPT];
    let (mut from, mut to, mut skipped) = (0, 0, 0);
    while from < ALL {
        if skipped < SKIPPED && skip[skipped] == from {
            skipped += 1;
        } else {
            kept[to] = all[from];
            to += 1;
        }
        from += 1;
    }
    kept
}
