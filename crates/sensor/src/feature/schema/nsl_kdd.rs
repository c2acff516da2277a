//! The columns of NSL-KDD (Tavallaee et al. 2009): one row per connection, 41 features, as published. Citronella only
//! reads such rows, so that models of the literature run on the data set for which they were published.

use super::{Column, Kind, Role, column};

/// NSL-KDD's columns: the 41 features in their published order, attack name, difficulty, and whether it is an attack.
pub const NSL_KDD: [Column; 44] = {
    use Kind::{Flag, Float, Text, UInt};
    use Role::{Feature, Label};
    const fn one(name: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Column {
        column(name, kind, Feature, unit, "", meaning)
    }
    [
        one("duration", UInt, "s", "duration of the connection"),
        one("protocol_type", Text, "", "tcp, udp or icmp"),
        one("service", Text, "", "service on the destination"),
        one("flag", Text, "", "how the connection ended"),
        one("src_bytes", UInt, "bytes", "sent by the source"),
        one("dst_bytes", UInt, "bytes", "sent by the destination"),
        one("land", UInt, "", "same host and port on both sides"),
        one("wrong_fragment", UInt, "", "wrong fragments"),
        one("urgent", UInt, "packets", "urgent packets"),
        one("hot", UInt, "", "hot indicators"),
        one("num_failed_logins", UInt, "", "failed logins"),
        one("logged_in", UInt, "", "whether a login succeeded"),
        one("num_compromised", UInt, "", "compromised conditions"),
        one("root_shell", UInt, "", "whether a root shell was obtained"),
        one("su_attempted", UInt, "", "whether su root was attempted"),
        one("num_root", UInt, "", "accesses as root"),
        one("num_file_creations", UInt, "", "files created"),
        one("num_shells", UInt, "", "shell prompts"),
        one("num_access_files", UInt, "", "operations on access control files"),
        one("num_outbound_cmds", UInt, "", "outbound commands in an FTP session"),
        one("is_host_login", UInt, "", "whether the login is on the hot list"),
        one("is_guest_login", UInt, "", "whether the login is a guest's"),
        one("count", UInt, "", "connections to the same host in two seconds"),
        one("srv_count", UInt, "", "connections to the same service in two seconds"),
        one("serror_rate", Float, "", "share of SYN errors, same host"),
        one("srv_serror_rate", Float, "", "share of SYN errors, same service"),
        one("rerror_rate", Float, "", "share of REJ errors, same host"),
        one("srv_rerror_rate", Float, "", "share of REJ errors, same service"),
        one("same_srv_rate", Float, "", "share to the same service"),
        one("diff_srv_rate", Float, "", "share to different services"),
        one("srv_diff_host_rate", Float, "", "share to different hosts"),
        one("dst_host_count", UInt, "", "of the last 100 connections, those to the same host"),
        one("dst_host_srv_count", UInt, "", "of the last 100 connections, those to the same service"),
        one("dst_host_same_srv_rate", Float, "", "share to the same service"),
        one("dst_host_diff_srv_rate", Float, "", "share to different services"),
        one("dst_host_same_src_port_rate", Float, "", "share from the same source port"),
        one("dst_host_srv_diff_host_rate", Float, "", "share to different hosts"),
        one("dst_host_serror_rate", Float, "", "share of SYN errors, same host"),
        one("dst_host_srv_serror_rate", Float, "", "share of SYN errors, same service"),
        one("dst_host_rerror_rate", Float, "", "share of REJ errors, same host"),
        one("dst_host_srv_rerror_rate", Float, "", "share of REJ errors, same service"),
        column("attack", Text, Label, "", "", "the attack's name, or normal"),
        column("difficulty", UInt, Label, "", "", "how many of 21 learners classified it correctly"),
        column("is_attack", Flag, Label, "", "", "whether it is an attack"),
    ]
};
