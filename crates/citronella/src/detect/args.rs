//! The command line of `detect`, as clap parses it.

use std::path::PathBuf;

use citronella_config::{DetectArgs, EveKind, RING_MIB, SNAPLEN, Sandbox, THREADS, is_valid_rate};
use citronella_nn::Precision;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::packet_filter::PacketFilterArgs;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Recorded traffic: pcap or pcapng files, plain, .gz or .zst, read as one stream in this order; - is stdin
    #[arg(short, long, num_args = 1.., value_name = "CAPTURE", required_unless_present_any = ["interface", "list_interfaces", "config"])]
    read: Vec<PathBuf>,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    filter: PacketFilterArgs,
    /// Model file written by `train --preset sequence` [default: the embedded model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Number of threads. For recordings, one thread reads and tracks flows and all threads compute; the results do not
    /// depend on the number (stdin and --replay-speed use one thread). For interfaces, each thread captures and analyses
    /// its share of the hosts [default: 1]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<u16>,
    /// Replay the recording at X times its original pace; 0 is as fast as possible [default: 0]
    #[arg(long, value_name = "X", value_parser = speed, requires = "read")]
    replay_speed: Option<f64>,
    /// Precision of the LSTM. bf16 needs a CPU with AVX-512 BF16 and is faster; scores differ in the third decimal
    /// [default: f32]
    #[arg(long, value_name = "PRECISION")]
    precision: Option<PrecisionArg>,
    #[command(flatten)]
    alerts: AlertArgs,
    /// Write one row for each flow when it ends; - is stdout and replaces the summary
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Print the summary as one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Exit with code 1 if an alert was raised
    #[arg(long)]
    pub(crate) fail_on_alert: bool,
}

/// Arguments of live capture.
#[derive(clap::Args)]
struct LiveArgs {
    /// Capture from network interfaces (Linux), one or more; any is all of them
    #[arg(short, long, num_args = 1.., value_name = "INTERFACE", conflicts_with = "read", help_heading = "Live capture")]
    interface: Vec<String>,
    /// List the network interfaces and exit
    #[arg(long, conflicts_with_all = ["read", "interface"], help_heading = "Live capture")]
    list_interfaces: bool,
    /// Bytes to capture of each packet [default: 262144]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(i64::from(*SNAPLEN.start())..=i64::from(*SNAPLEN.end())), help_heading = "Live capture")]
    snaplen: Option<u32>,
    /// Size in MiB of the kernel's ring buffer for each thread and interface [default: 32]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(i64::from(*RING_MIB.start())..=i64::from(*RING_MIB.end())), help_heading = "Live capture")]
    ring_mib: Option<u32>,
    /// Do not put the interface into promiscuous mode
    #[arg(long, help_heading = "Live capture")]
    no_promiscuous: bool,
    /// Ignore packets sent by this host; useful on a mirror port
    #[arg(long, help_heading = "Live capture")]
    ignore_outgoing: bool,
    /// Switch to this user (NAME or NAME:GROUP) once the interfaces are open
    #[arg(long, value_name = "USER", conflicts_with = "read", help_heading = "Live capture")]
    user: Option<String>,
    /// Refuse to start unless every step of the sandbox succeeds
    #[arg(long, conflicts_with = "read", help_heading = "Live capture")]
    require_sandbox: bool,
    /// Run without the sandbox and keep all privileges, for debugging
    #[arg(long, conflicts_with_all = ["require_sandbox", "read"], help_heading = "Live capture")]
    no_sandbox: bool,
}

/// Arguments of alerts, EVE records and state.
#[derive(clap::Args)]
struct AlertArgs {
    /// Read the configuration from a TOML file (see `citronella config show`); the command line takes precedence
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    config: Option<PathBuf>,
    /// Choose the model's thresholds for N false positives (benign flows flagged) a day [default: the model's own, 1]
    #[arg(long, value_name = "N", value_parser = per_day, help_heading = "Alerts")]
    false_alerts_per_day: Option<f32>,
    /// Write EVE JSON records, in Suricata's format, to FILE; - is stdout and replaces the summary
    #[arg(long, value_name = "FILE", help_heading = "Alerts")]
    eve: Option<PathBuf>,
    /// EVE record types to write; all but alert and stats parse every connection and reduce throughput [default: alert,stats]
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = eve_kind(), help_heading = "Alerts")]
    eve_types: Vec<EveKind>,
    /// Write the passwords of MQTT CONNECT messages to the records instead of only their lengths
    #[arg(long, help_heading = "Alerts")]
    log_passwords: bool,
    /// Store host counters and open incidents in DIR, to continue after a restart
    #[arg(long, value_name = "DIR", help_heading = "Alerts")]
    state: Option<PathBuf>,
}

impl Arguments {
    /// Whether the interfaces are to be listed instead of a detection run.
    pub(super) fn is_interface_list(&self) -> bool {
        self.live.list_interfaces
    }

    /// The given arguments, without clap's types.
    pub(super) fn lower(self) -> DetectArgs {
        let Arguments { live, alerts, .. } = self;
        let sandbox = match (live.require_sandbox, live.no_sandbox) {
            (true, _) => Some(Sandbox::Required),
            (false, true) => Some(Sandbox::Off),
            (false, false) => None,
        };
        DetectArgs {
            config: alerts.config,
            recordings: self.read,
            replay_speed: self.replay_speed,
            interfaces: live.interface,
            snaplen: live.snaplen,
            ring_mib: live.ring_mib,
            no_promiscuous: live.no_promiscuous,
            ignore_outgoing: live.ignore_outgoing,
            user: live.user,
            sandbox,
            filter: self.filter.lower(),
            model: self.model,
            precision: self.precision.map(Precision::from),
            threads: self.threads,
            false_alerts_per_day: alerts.false_alerts_per_day,
            eve: alerts.eve,
            eve_types: alerts.eve_types,
            log_passwords: alerts.log_passwords,
            state: alerts.state,
            verdicts: self.verdicts,
            json: self.json,
        }
    }
}

/// Precision of the LSTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PrecisionArg {
    F32,
    Bf16,
}

impl PrecisionArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            PrecisionArg::F32 => "f32",
            PrecisionArg::Bf16 => "bf16",
        }
    }
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Precision {
        match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        }
    }
}

fn eve_kind() -> impl TypedValueParser<Value = EveKind> {
    PossibleValuesParser::new(EveKind::NAMES).try_map(|name| name.parse())
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if is_valid_rate(speed) => Ok(speed),
        _ => Err("expected a number such as 1, 10 or 0.5; 0 is as fast as possible".to_owned()),
    }
}

fn threads(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(threads) if THREADS.contains(&threads) => Ok(threads),
        _ => Err(format!("expected a number from {} to {}", THREADS.start(), THREADS.end())),
    }
}

fn per_day(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(rate) if is_valid_rate(rate.into()) => Ok(rate),
        _ => Err("expected a number such as 1 or 0.1".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use citronella_config::{CaptureSection, EveSection};
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Detect {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn lower(arguments: &str) -> DetectArgs {
        let words = std::iter::once("detect").chain(arguments.split_whitespace());
        Detect::try_parse_from(words).unwrap().arguments.lower()
    }

    #[test]
    fn arguments_not_given_stay_unset() {
        assert_eq!(lower("-r a"), DetectArgs { recordings: vec!["a".into()], ..DetectArgs::default() });
    }

    #[test]
    fn given_arguments_are_passed_on_even_if_they_equal_the_default() {
        let live = lower(
            "-i a b --snaplen 262144 --ring-mib 32 --no-promiscuous --ignore-outgoing --user u --require-sandbox \
             --threads 1 --precision f32 --port 1 --port 2 --net 10.0.0.1 --filter ip --config c",
        );
        let expected = DetectArgs {
            config: Some("c".into()),
            interfaces: vec!["a".to_owned(), "b".to_owned()],
            snaplen: Some(262_144),
            ring_mib: Some(32),
            no_promiscuous: true,
            ignore_outgoing: true,
            user: Some("u".to_owned()),
            sandbox: Some(Sandbox::Required),
            threads: Some(1),
            precision: Some(Precision::F32),
            filter: citronella_config::FilterArgs {
                ports: vec![1, 2],
                networks: vec!["10.0.0.1/32".parse().unwrap()],
                expression: Some("ip".to_owned()),
            },
            ..DetectArgs::default()
        };
        assert_eq!(live, expected);
        let recorded = lower(
            "-r a - --replay-speed 2 --model m --false-alerts-per-day 0.5 --eve e --eve-types tls,alert \
             --log-passwords --state s --verdicts v --json --fail-on-alert",
        );
        let expected = DetectArgs {
            recordings: vec!["a".into(), "-".into()],
            replay_speed: Some(2.0),
            model: Some("m".into()),
            false_alerts_per_day: Some(0.5),
            eve: Some("e".into()),
            eve_types: vec![EveKind::Tls, EveKind::Alert],
            log_passwords: true,
            state: Some("s".into()),
            verdicts: Some("v".into()),
            json: true,
            ..DetectArgs::default()
        };
        assert_eq!(recorded, expected);
        assert_eq!(lower("-i a --no-sandbox").sandbox, Some(Sandbox::Off));
    }

    #[test]
    fn the_help_documents_the_actual_defaults() {
        let command = Detect::command();
        let help = |id: &str| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == id).unwrap();
            argument.get_help().unwrap().to_string()
        };
        let (capture, eve) = (CaptureSection::default(), EveSection::default());
        let types = EveKind::ALL.iter().zip(EveKind::NAMES).filter(|(kind, _)| eve.types.contains(kind));
        let types: Vec<_> = types.map(|(_, name)| name).collect();
        for (id, default) in [
            ("snaplen", capture.snaplen.to_string()),
            ("ring_mib", capture.ring_mib.to_string()),
            ("eve_types", types.join(",")),
            ("threads", "1".to_owned()),
            ("precision", "f32".to_owned()),
        ] {
            assert!(help(id).ends_with(&format!("[default: {default}]")), "{id}: {}", help(id));
        }
    }
}
