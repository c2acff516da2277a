//! What a column describes, by its name: time, address, port, position in the file, or a feature.

use citronella_sensor::feature::schema::{self, Level};

/// What a column describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The time of the traffic.
    Time,
    /// An address of an endpoint.
    Address,
    /// A transport port.
    Port,
    /// The row's position in the file.
    Index,
    /// Traffic that a detector may learn from.
    Feature,
}

impl Role {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Time => "time",
            Role::Address => "address",
            Role::Port => "port",
            Role::Index => "row number",
            Role::Feature => "feature",
        }
    }
}

/// Names of columns in public intrusion data sets (CIC-IDS2017, UNSW-NB15, Bot-IoT, ToN-IoT, Edge-IIoTset, IoT-23), as
/// [`normalise`] writes them.
const TIMES: [&str; 16] = [
    "timestamp",
    "time",
    "ts",
    "date",
    "datetime",
    "stime",
    "ltime",
    "starttime",
    "flowstarttime",
    "frametime",
    "frametimeepoch",
    "firstseen",
    "lastseen",
    "starttimestamp",
    "tstart",
    "tend",
];
const ADDRESSES: [&str; 24] = [
    "srcip",
    "dstip",
    "ipsrc",
    "ipdst",
    "sourceip",
    "destinationip",
    "saddr",
    "daddr",
    "srcaddr",
    "dstaddr",
    "idorigh",
    "idresph",
    "ipsrchost",
    "ipdsthost",
    "arpsrcprotoipv4",
    "arpdstprotoipv4",
    "src",
    "dst",
    "smac",
    "dmac",
    "srcmac",
    "dstmac",
    "flowid",
    "ethsrc",
];
const PORTS: [&str; 20] = [
    "srcport",
    "dstport",
    "sport",
    "dport",
    "dsport",
    "sourceport",
    "destinationport",
    "prtsrc",
    "prtdst",
    "idorigp",
    "idrespp",
    "tcpsrcport",
    "tcpdstport",
    "udpport",
    "port",
    "srcpt",
    "dstpt",
    "udpsrcport",
    "udpdstport",
    "tcpport",
];
const INDICES: [&str; 7] = ["", "unnamed0", "index", "id", "pkseqid", "rownumber", "framenumber"];
const LABELS: [&str; 10] = [
    "label",
    "class",
    "attack",
    "category",
    "subcategory",
    "attackcat",
    "attacktype",
    "target",
    "type",
    "detailedlabel",
];

/// A column name in lower case, without anything but letters and digits.
fn normalise(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A column's role by its name: the schema's for a column of a feature level.
pub(super) fn role_of(name: &str) -> Role {
    let levels = [Level::Packet, Level::UniflowExtended, Level::BiflowExtended];
    let known = levels.iter().flat_map(|level| level.columns()).find(|column| column.name == name);
    if let Some(schema::Role::Feature) = known.map(|column| column.role) {
        return Role::Feature;
    }
    let normalised = normalise(name);
    let is = |names: &[&str]| names.contains(&normalised.as_str());
    match () {
        () if is(&TIMES) => Role::Time,
        () if is(&ADDRESSES) => Role::Address,
        () if is(&PORTS) => Role::Port,
        () if is(&INDICES) => Role::Index,
        () => Role::Feature,
    }
}

/// Whether a column has a usual name of a label.
pub(super) fn may_be_label(name: &str) -> bool {
    LABELS.contains(&normalise(name).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_columns_and_other_data_sets() {
        let roles = |names: &[&str]| names.iter().map(|name| role_of(name)).collect::<Vec<_>>();
        assert_eq!(roles(&["timestamp", "Timestamp", " Flow Start Time", "stime"]), [Role::Time; 4]);
        assert_eq!(roles(&["src_ip", "ip_src", "id.orig_h", " Source IP"]), [Role::Address; 4]);
        assert_eq!(roles(&["dst_port", "prt_src", "sport", " Destination Port"]), [Role::Port; 4]);
        assert_eq!(roles(&["", "Unnamed: 0", "pkSeqID"]), [Role::Index; 3]);
        assert_eq!(roles(&["ttl", "ip_len", "src_bytes", "protocol", "mean_iat"]), [Role::Feature; 5]);
    }

    #[test]
    fn only_features_of_every_level_are_features() {
        for level in [Level::Packet, Level::UniflowExtended, Level::BiflowExtended] {
            for column in level.columns().iter().filter(|c| c.role != schema::Role::Label) {
                let is_feature = column.role == schema::Role::Feature;
                assert_eq!(role_of(column.name) == Role::Feature, is_feature, "{}", column.name);
            }
        }
    }
}
