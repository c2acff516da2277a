//! Resolution: command line over file over default, for every value; conflicts; reload.

#![allow(clippy::unwrap_used)] // tests

use std::path::{Path, PathBuf};

use citronella_config::{
    ConfigFile, Destination, DetectArgs, DetectPlan, EveKind, FilterArgs, Input, Interfaces, RuntimePlan,
    Sandbox, SummaryFormat,
};
use citronella_nn::Precision;

const FILE: &str = "
[detect]
model = 'file.safetensors'
threads = 3
false_alerts_per_day = 5.0
[capture]
interfaces = ['eth0']
ports = [1883]
networks = ['10.0.0.0/8']
snaplen = 100
ring_mib = 4
promiscuous = false
ignore_outgoing = true
[eve]
file = 'file.json'
types = ['stats']
rotate_mib = 2
keep = 7
queue_mib = 3
log_passwords = true
max_text = 12
[state]
folder = 'file-state'
[alerts]
flows = 9
[rules]
held = false
[[suppress]]
source = '10.0.0.5'
";

fn file() -> ConfigFile {
    toml::from_str(FILE).unwrap()
}

/// A valid command line that gives a source and nothing else.
fn reading() -> DetectArgs {
    DetectArgs { recordings: vec!["a.pcap".into()], ..DetectArgs::default() }
}

/// Every argument, with values that differ from the file and the defaults.
fn given() -> DetectArgs {
    DetectArgs {
        interfaces: vec!["wlan0".to_owned(), "wlan1".to_owned()],
        snaplen: Some(200),
        ring_mib: Some(8),
        no_promiscuous: true,
        ignore_outgoing: true,
        user: Some("nobody".to_owned()),
        sandbox: Some(Sandbox::Required),
        filter: FilterArgs {
            ports: vec![22, 23],
            networks: vec!["fd00::/8".parse().unwrap()],
            expression: None,
        },
        model: Some("given.safetensors".into()),
        precision: Some(Precision::Bf16),
        threads: Some(2),
        false_alerts_per_day: Some(0.5),
        eve: Some("given.json".into()),
        eve_types: vec![EveKind::Alert, EveKind::Tls],
        log_passwords: true,
        state: Some("given-state".into()),
        verdicts: Some("given.csv".into()),
        json: true,
        ..DetectArgs::default()
    }
}

fn resolve(args: &DetectArgs, file: &ConfigFile) -> DetectPlan {
    DetectPlan::resolve(args, file).unwrap()
}

fn refused(args: &DetectArgs, file: &ConfigFile) -> String {
    DetectPlan::resolve(args, file).unwrap_err().to_string()
}

fn interfaces(plan: &DetectPlan) -> &Interfaces {
    match &plan.input {
        Input::Interfaces(interfaces) => interfaces,
        Input::Recordings(_) => panic!("not interfaces: {plan:?}"),
    }
}

/// Ports and networks of the plan's filter.
fn filter(plan: &DetectPlan) -> (Vec<u16>, Vec<String>) {
    (plan.filter.ports.clone(), plan.filter.networks.iter().map(ToString::to_string).collect())
}

#[test]
fn without_file_and_arguments_the_defaults_apply() {
    let args = DetectArgs { interfaces: vec!["eth0".to_owned()], ..DetectArgs::default() };
    let plan = resolve(&args, &ConfigFile::default());
    let live = interfaces(&plan);
    assert_eq!((live.snap_bytes, live.ring_bytes), (262_144, 32 << 20));
    assert!(live.promiscuous && !live.ignore_outgoing);
    assert_eq!((&live.user, live.sandbox), (&None, Sandbox::BestEffort));
    assert!(plan.filter.is_empty());
    assert_eq!((plan.threads, &plan.state, &plan.verdicts), (1, &None, &None));
    assert_eq!((&plan.eve, plan.summary), (&None, SummaryFormat::Text));
    let runtime = &plan.runtime;
    assert_eq!((&runtime.config, &runtime.model, runtime.false_alerts_per_day), (&None, &None, None));
    assert_eq!(runtime.precision, Precision::F32);
    assert_eq!(runtime.settings, ConfigFile::default().settings());
}

#[test]
fn the_file_takes_precedence_over_defaults() {
    let plan = resolve(&DetectArgs::default(), &file());
    let live = interfaces(&plan);
    assert_eq!(live.names, ["eth0"]);
    assert_eq!((live.snap_bytes, live.ring_bytes), (100, 4 << 20));
    assert!(!live.promiscuous && live.ignore_outgoing);
    assert_eq!(filter(&plan), (vec![1883], vec!["10.0.0.0/8".to_owned()]));
    assert_eq!((plan.threads, plan.state.as_deref()), (3, Some(Path::new("file-state"))));
    let eve = plan.eve.as_ref().unwrap();
    assert_eq!(eve.destination, Destination::File("file.json".into()));
    assert!(eve.options.stats && !eve.options.alert && eve.options.log_passwords);
    assert_eq!((eve.rotate_bytes, eve.keep, eve.queue_bytes), (2 << 20, 7, 3 << 20));
    assert_eq!(eve.options.text_bytes, 12);
    let runtime = &plan.runtime;
    assert_eq!(runtime.model.as_deref(), Some(Path::new("file.safetensors")));
    assert_eq!(runtime.false_alerts_per_day, Some(5.0));
    assert_eq!(runtime.settings, file().settings());
}

#[test]
fn the_command_line_takes_precedence_over_the_file() {
    // Flags can only switch on what the file leaves off.
    let text = FILE
        .replace("promiscuous = false", "promiscuous = true")
        .replace("ignore_outgoing = true", "ignore_outgoing = false")
        .replace("log_passwords = true", "log_passwords = false");
    let plan = resolve(&given(), &toml::from_str(&text).unwrap());
    let live = interfaces(&plan);
    assert_eq!(live.names, ["wlan0", "wlan1"]);
    assert_eq!((live.snap_bytes, live.ring_bytes), (200, 8 << 20));
    assert!(!live.promiscuous && live.ignore_outgoing);
    assert_eq!((live.user.as_deref(), live.sandbox), (Some("nobody"), Sandbox::Required));
    assert_eq!(filter(&plan), (vec![22, 23], vec!["fd00::/8".to_owned()]));
    assert_eq!((plan.threads, plan.state.as_deref()), (2, Some(Path::new("given-state"))));
    assert_eq!(plan.verdicts, Some(Destination::File("given.csv".into())));
    assert_eq!(plan.summary, SummaryFormat::Json);
    let eve = plan.eve.as_ref().unwrap();
    assert_eq!(eve.destination, Destination::File("given.json".into()));
    let options = &eve.options;
    assert_eq!((options.alert, options.stats, options.tls, options.flow), (true, false, true, false));
    assert!(options.log_passwords);
    // What only the file can set.
    assert_eq!((eve.rotate_bytes, eve.keep, eve.queue_bytes), (2 << 20, 7, 3 << 20));
    let runtime = &plan.runtime;
    assert_eq!(runtime.model.as_deref(), Some(Path::new("given.safetensors")));
    assert_eq!((runtime.precision, runtime.false_alerts_per_day), (Precision::Bf16, Some(0.5)));
    let files: Vec<_> = plan.output_files().collect();
    assert_eq!(files, [Path::new("given.csv"), Path::new("given.json")]);
}

#[test]
fn a_value_that_equals_its_default_still_takes_precedence() {
    let args = DetectArgs {
        threads: Some(1),
        snaplen: Some(262_144),
        ring_mib: Some(32),
        precision: Some(Precision::F32),
        eve_types: vec![EveKind::Alert, EveKind::Stats],
        false_alerts_per_day: Some(1.0),
        ..DetectArgs::default()
    };
    let plan = resolve(&args, &file());
    let live = interfaces(&plan);
    assert_eq!((plan.threads, live.snap_bytes, live.ring_bytes), (1, 262_144, 32 << 20));
    assert_eq!((plan.runtime.precision, plan.runtime.false_alerts_per_day), (Precision::F32, Some(1.0)));
    assert!(plan.eve.unwrap().options.alert);
}

#[test]
fn recordings_of_the_command_line_take_precedence_over_interfaces_of_the_file() {
    let args = DetectArgs { replay_speed: Some(10.0), ..reading() };
    let Input::Recordings(recordings) = resolve(&args, &file()).input else { panic!() };
    assert_eq!((recordings.paths, recordings.replay_speed), (vec![PathBuf::from("a.pcap")], Some(10.0)));
    let args = DetectArgs { replay_speed: Some(0.0), ..reading() };
    let Input::Recordings(recordings) = resolve(&args, &file()).input else { panic!() };
    assert_eq!(recordings.replay_speed, None);
}

#[test]
fn a_run_needs_one_source() {
    assert!(refused(&DetectArgs::default(), &ConfigFile::default()).starts_with("nothing to read: give -r"));
    let both = DetectArgs { interfaces: vec!["eth0".to_owned()], ..reading() };
    assert!(refused(&both, &ConfigFile::default()).contains("exclude each other"));
}

#[test]
fn at_most_one_output_goes_to_stdout() {
    let stdout = || Some(PathBuf::from("-"));
    let eve_in_file: ConfigFile = toml::from_str("[eve]\nfile = '-'\n").unwrap();
    let none = ConfigFile::default();
    for (args, file, parts) in [
        (
            DetectArgs { verdicts: stdout(), eve: stdout(), ..reading() },
            &none,
            ["--verdicts - and --eve - both", "give --verdicts a file"],
        ),
        (
            DetectArgs { verdicts: stdout(), json: true, ..reading() },
            &none,
            ["--verdicts - and --json both", "give --verdicts a file"],
        ),
        (
            DetectArgs { json: true, ..reading() },
            &eve_in_file,
            ["--eve - and --json both", "give --eve a file"],
        ),
    ] {
        let message = refused(&args, file);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    let plan = resolve(&DetectArgs { verdicts: stdout(), ..reading() }, &none);
    assert_eq!((plan.verdicts.as_ref(), plan.summary), (Some(&Destination::Stdout), SummaryFormat::Off));
    assert_eq!(plan.output_files().count(), 0);
    assert_eq!(resolve(&reading(), &eve_in_file).summary, SummaryFormat::Off);
    // A file on the command line resolves the conflict.
    let args = DetectArgs { json: true, eve: Some("eve.json".into()), ..reading() };
    assert_eq!(resolve(&args, &eve_in_file).summary, SummaryFormat::Json);
}

#[test]
fn arguments_out_of_range_are_rejected_with_their_flag() {
    for (args, flag) in [
        (DetectArgs { threads: Some(0), ..reading() }, "--threads"),
        (DetectArgs { threads: Some(257), ..reading() }, "--threads"),
        (DetectArgs { snaplen: Some(63), ..reading() }, "--snaplen"),
        (DetectArgs { ring_mib: Some(0), ..reading() }, "--ring-mib"),
        (DetectArgs { replay_speed: Some(f64::NAN), ..reading() }, "--replay-speed"),
        (DetectArgs { false_alerts_per_day: Some(-1.0), ..reading() }, "--false-alerts-per-day"),
    ] {
        let message = refused(&args, &ConfigFile::default());
        assert!(message.starts_with(&format!("{flag}: must be")), "{message}");
    }
}

#[test]
fn a_wrong_filter_is_reported_with_its_origin() {
    // Rejected with and without libpcap.
    let wrong = "tcp prot 1883";
    let filter = FilterArgs { expression: Some(wrong.to_owned()), ..FilterArgs::default() };
    let args = DetectArgs { filter, ..reading() };
    assert_eq!(refused(&args, &ConfigFile::default()), "--filter");
    let file: ConfigFile = toml::from_str(&format!("[capture]\nfilter = '{wrong}'\n")).unwrap();
    let args = DetectArgs { config: Some("c.toml".into()), ..reading() };
    assert_eq!(refused(&args, &file), "c.toml: capture.filter");
}

#[test]
fn a_reload_reads_the_file_again_and_the_command_line_still_takes_precedence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let args = DetectArgs {
        config: Some(path.clone()),
        model: Some("given.safetensors".into()),
        threads: Some(2),
        ..reading()
    };
    write("[alerts]\nflows = 4\n");
    let started = DetectPlan::load(&args).unwrap();
    assert_eq!(started.runtime.settings.alerts.flows, 4);
    assert_eq!(started.runtime, RuntimePlan::load(&args).unwrap());

    write(
        "[detect]\nmodel = 'other'\nfalse_alerts_per_day = 2.0\n[alerts]\nflows = 5\n[rules]\nheld = 7.0\n",
    );
    let reloaded = RuntimePlan::load(&args).unwrap();
    assert_eq!(reloaded.model.as_deref(), Some(Path::new("given.safetensors")));
    assert_eq!((reloaded.false_alerts_per_day, reloaded.settings.alerts.flows), (Some(2.0), 5));
    assert_eq!(reloaded.settings.rules.held.0, Some(7.0));
    let unset = DetectArgs { model: None, ..args.clone() };
    assert_eq!(RuntimePlan::load(&unset).unwrap().model.as_deref(), Some(Path::new("other")));

    write("[alerts]\nflws = 5\n");
    let message = RuntimePlan::load(&args).unwrap_err().to_string();
    assert!(message.contains("c.toml:2: unknown key `flws`; did you mean `flows`?"), "{message}");
    // The filter stays as it was at the start: a reload does not compile it.
    write("[capture]\nfilter = 'tcp prot 1883'\n");
    RuntimePlan::load(&args).unwrap();
    assert!(DetectPlan::load(&args).is_err());
    // Without a file the arguments remain.
    let args = DetectArgs { config: None, ..args };
    assert_eq!(RuntimePlan::load(&args).unwrap().settings, ConfigFile::default().settings());
}
