//! What `check` must find, with file, line, column and remedy; and that nothing makes it panic.

mod common;

use common::{errors, host, one_error, site};
use landfall_hosts::site::tree::Memory;
use landfall_hosts::site::{Severity, Site};

fn one(host: &str, words: &[&str]) {
    one_error(&[("hosts/h.toml", host)], words);
}

#[test]
fn unknown_keys_have_a_place_and_a_suggestion() {
    one("pacakges = [\"git\"]", &["hosts/h.toml:1:1", "pacakges", "did you mean `packages`?"]);
    one("[locale]\nlagn = \"C.UTF-8\"", &["hosts/h.toml:2:1", "locale.lagn", "`lang`"]);
    one("[users.sam]\npasword = { secret = \"x\" }", &["users.sam.pasword", "`password`"]);
    one("[disk]\nmatch = { serail = \"x\" }", &["disk.match.serail", "`serial`"]);
    one("[home.sam.gti]\nname = \"x\"", &["home.sam.gti", "`git`"]);
    one_error(
        &[("m.toml", "device = \"vm\""), ("hosts/h.toml", "")],
        &["m.toml:1:1", "unknown key `device`"],
    );
}

#[test]
fn wrong_types_are_told_in_words() {
    one("packages = \"git\"", &["1:12", "a string", "a list of strings"]);
    one("packages = [1]", &["an integer"]);
    one("[boot]\nquiet = \"yes\"", &["2:9", "true or false"]);
    one("[users.sam]\nuid = 10", &["2:7", "between 1000 and 59999"]);
    one("[users.sam]\nuid = \"1000\"", &["an integer"]);
    one("[network]\nmanager = \"networkmanger\"", &["did you mean \"networkmanager\"?"]);
    one("[firewall]\ntcp = [70000]", &["1 to 65535"]);
    one("[firewall]\ntcp = [\"22\"]", &["1 to 65535"]);
    one("locale = 1979-05-27", &["a date", "a table"]);
    one("[home.sam.ini.\".x\".G]\nk = [1]", &["unset"]);
    one("[home.sam.dconf.\"a/b\"]\nk = { unset = true, x = 1 }", &["gvariant"]);
}

#[test]
fn bad_shapes_are_errors() {
    one("[locale]\nlang = \"english\"", &["2:8", "en_GB.UTF-8"]);
    one("[locale]\nkeyboard = \"de(\"", &["keyboard"]);
    one("[locale]\ntimezone = \"../../etc/shadow\"", &["Europe/London"]);
    one("[locale]\nformats = { LC_TIEM = \"C.UTF-8\" }", &["LC_TIME"]);
    one("[files.\"/etc/x\"]\ntext = \"\"\nmode = \"rwx\"", &["octal"]);
    one("[files.\"etc/x\"]\ntext = \"\"", &["absolute path"]);
    one("[files.\"/etc/../x\"]\ntext = \"\"", &["absolute path"]);
    one("[files.\"/etc/x\"]\nsource = \"../../secret\"", &["below the site's folder"]);
    one("hostname = \"Bad_Name\"", &["host name"]);
    one("packages = [\"git; rm -rf /\"]", &["apt's syntax"]);
    one("[kernel]\nparams = [\"a b\"]", &["no blanks"]);
    one("[env]\n\"A B\" = \"x\"", &["environment variable"]);
}

#[test]
fn disk_rules() {
    one("[disk]\nencrypt = { unlock = [\"tpm2-pin\"] }", &["2:23", "one of", "did you mean \"tpm2+pin\"?"]);
    one("[disk]\nencrypt = { unlocks = [] }", &["2:13", "did you mean `unlock`?"]);
    one("[disk]\nencrypt = { passphrase = \"hunter2\" }", &["2:26"]);
    one("[disk]\nmatch = { size = \"400G\" }", &["range", "400G..1100G"]);
    one("[disk]\nmatch = { size = \"9G..1G\" }", &["is empty"]);
    one("[disk]\nmatch = { size = \"x..y\" }", &["is not a size"]);
    one("[disk]\nmatch = {}", &["empty"]);
    one("[disk]\nmatch = { any = [{ smallest = true }] }", &["top of the rule"]);
    one("[disk]\nmatch = { battery = true }", &["unknown key `disk.match.battery`"]);
    let without = [("people.toml", "packages = []"), ("hosts/h.toml", "")];
    assert!(errors(&without).iter().any(|e| e.contains("which disk it may use")), "{:?}", errors(&without));
}

#[test]
fn imports_that_are_unknown_or_run_in_circles() {
    let circle = [
        ("a.toml", "imports = [\"b\"]"),
        ("b.toml", "imports = [\"c\"]"),
        ("c.toml", "imports = [\"a\"]"),
        ("hosts/h.toml", "imports = [\"a\"]"),
    ];
    one_error(&circle, &["a.toml:1:12", "a.toml → b.toml → c.toml → a.toml"]);
    one_error(
        &[("a.toml", "imports = [\"a\"]"), ("hosts/h.toml", "imports = [\"a\"]")],
        &["a.toml → a.toml"],
    );
    one("imports = [\"custom/none\"]", &["1:12", "there is no module \"custom/none\""]);
}

#[test]
fn secrets() {
    one("[tailnet]\nauth_key = { secret = \"tkey\" }\n[secrets]\n", &["2:23", "no secret \"tkey\""]);
    one("[secrets.k]\nfile = \"secrets/k.age\"", &["hosts/h.toml:1:10", "no host may read", "expose = true"]);
    one("[secrets.k]\nfile = \"secrets/k.age\"\nexpose = true", &["2:8", "missing", "landfall secret set k"]);
    one("[files.\"/etc/x\"]\ntemplate = \"${secret:nope}\"", &["2:12", "no secret \"nope\""]);
}

#[test]
fn files_that_are_missing_or_say_two_things() {
    one("[files.\"/etc/x\"]\nsource = \"files/x\"", &["2:10", "the file files/x is missing"]);
    one("[home.sam]\ntrees = [\"home/x\"]", &["the folder home/x is missing"]);
    one("[files.\"/etc/x\"]\ntext = \"\"\nlink = \"/x\"", &["one of source, text, template and link"]);
    one("[units.x]\nenable = true", &["one of text and source"]);
    one("[apt.x]\nuri = \"https://x.example\"\nsuite = \"s\"", &["no key"]);
}

#[test]
fn a_host_that_nobody_could_enter() {
    const DISK: &str = "[disk]\nmatch = { serial = \"x\" }\n";
    let people = |text: &str| [("people.toml".to_owned(), format!("{text}\n{DISK}"))];
    let told = |text: &str| {
        let people = people(text);
        let files = [(people[0].0.as_str(), people[0].1.as_str()), ("hosts/h.toml", "")];
        errors(&files)
    };
    let key = "ssh_keys = [\"ssh-ed25519 AAAA x\"]";
    assert!(told("")[0].contains("nobody could log in"));
    assert!(told(&format!("[users.sam]\nuid = 1000\n{key}"))[0].contains("openssh-server"));
    let no_admin = told(&format!("packages = [\"openssh-server\"]\n[users.sam]\nuid = 1000\n{key}"));
    assert!(no_admin[0].contains("may become root"), "{no_admin:?}");
    let masked = told(&format!(
        "packages = [\"openssh-server\"]\n[services]\nmask = [\"ssh\"]\n[users.sam]\nuid = 1000\ngroups=[\"sudo\"]\n{key}"
    ));
    assert!(masked[0].contains("nobody could log in"), "{masked:?}");
    let no_shell = told(&format!(
        "packages = [\"openssh-server\"]\n[users.sam]\nuid = 1000\nshell = \"/usr/sbin/nologin\"\ngroups=[\"sudo\"]\n{key}"
    ));
    assert!(no_shell[0].contains("nobody could log in"), "{no_shell:?}");
}

#[test]
fn people() {
    one("[users.eve]\nuid = 1000", &["same uid"]);
    one("[users.eve]\ngroups = [\"sudo\"]", &["no uid"]);
    one("[home.smm.env]\nA = \"b\"", &["did you mean home.sam?"]);
    one("[users.Sam]\nuid = 1001", &["user or group name"]);
}

#[test]
fn all_errors_of_all_hosts_come_in_one_run() {
    let files = [
        ("a.toml", "[locale]\nlang = 1\nkeybord = \"x\""),
        ("hosts/h.toml", "imports = [\"a\"]\ndevice = \"nope\""),
        ("hosts/i.toml", "[disk]\nexisting = \"wype\""),
        ("hosts/j.toml", "packages = "),
    ];
    let errors = errors(&files);
    for word in ["lang", "keybord", "nope", "wype", "hosts/j.toml:1:"] {
        assert!(errors.iter().any(|e| e.contains(word)), "{word}: {errors:#?}");
    }
    assert_eq!(errors.len(), 5, "each once: {errors:#?}");
}

#[test]
fn a_sites_own_file() {
    let read = |text: &str| Site::read(Box::new(Memory::new([("site.toml", text), ("hosts/h.toml", "")])));
    let told = |text: &str| match read(text) {
        Ok(site) => site.check(),
        Err(problems) => problems.0,
    };
    let says = |text: &str, word: &str| {
        let problems = told(text);
        assert!(problems.iter().any(|p| p.is_error() && p.to_string().contains(word)), "{problems:?}");
    };
    says("schema = 2", "this Landfall knows 1 alone");
    says("", "schema = 1");
    says("schema = 1", "no admin");
    says("schema = 1\n[admins]\nsam = \"nope\"", "age recipient");
    says("= = =", "not TOML");
    assert!(Site::read(Box::new(Memory::default())).is_err(), "no site.toml");
}

#[test]
fn what_is_not_buildable_yet_is_a_note() {
    let files = [
        (
            "site.toml",
            "schema = 1\ncommon = [\"people\"]\n[admins]\nx = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"\n[inputs.friend]\ngit = \"https://example.org/x.git\"",
        ),
        (
            "hosts/h.toml",
            "imports = [\"friend:desktop/sway\"]\n[disk]\nexisting = \"keep-state\"\nlayout = \"mirror\"\nencrypt = { unlock = [\"tpm2\"] }\nswap = \"partition:ram\"\n[mounts.\"/srv/m\"]\nmatch = { serial = \"m\" }\n[boot]\nsplash = true",
        ),
    ];
    let problems = site(&files).check();
    assert!(problems.iter().all(|p| p.severity == Severity::Note), "{problems:?}");
    for key in ["disk.layout", "match", "boot.splash", "friend:desktop/sway"] {
        let found = problems.iter().find(|p| p.message.contains(key));
        assert!(found.is_some_and(|p| p.message.starts_with("not buildable yet: ")), "{key}: {problems:#?}");
    }
    assert!(problems.iter().any(|p| p.message.contains("Secure Boot off alone")), "{problems:#?}");
}

#[test]
fn places_for_other_disks_are_checked() {
    let says = |mounts: &str, words: &str| {
        let host = format!("[state]\nkeep = [\"/srv\"]\n{mounts}");
        let problems = site(&[("hosts/h.toml", &host)]).check();
        let found = problems.iter().find(|p| p.message.contains(words));
        assert!(found.is_some_and(|p| p.at.line > 2), "{mounts}: {problems:#?}");
    };
    says("[mounts.\"/usr/x\"]\nlabel = \"m\"", "/usr is the system's own");
    says("[mounts.\"/home\"]\nlabel = \"m\"", "a folder below it");
    says("[mounts.\"/srv\"]\nlabel = \"m\"", "state.keep binds the same path");
    says("[mounts.\"/m\"]\nlabel = \"m\"\nuuid = \"1\"", "one of label, uuid and match");
    says("[mounts.\"/m/\"]\nlabel = \"m\"", "not an absolute path");
    says("[disk]\nswap = \"file:ram\"", "disk.swap");
}

#[test]
fn an_install_with_nobody_watching_needs_the_pin_of_its_host() {
    let told = |disk: &str| {
        let host = format!("[disk]\n{disk}");
        let files = [("hosts/h.toml", host.as_str())];
        let problems = site(&files).check();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let pin = told("encrypt = { unlock = [\"tpm2+pin\"] }");
    assert!(pin.contains("has no pin") && pin.contains("disk.encrypt.pin = { secret"), "{pin}");
    assert!(!told("encrypt = { unlock = [\"tpm2\"] }").contains("has no"));
}

#[test]
fn a_disk_of_the_tpm_is_opened_for_its_state_by_a_secret_or_by_a_person() {
    let told = |disk: &str| {
        let host = format!("[disk]\n{disk}\n[secrets.disk]\nfile = \"secrets/disk.age\"");
        let problems = site(&[("hosts/h.toml", &host)]).check();
        let found = problems.iter().find(|p| p.message.contains("to keep its state"));
        found.map(|p| (p.severity == Severity::Note, p.at.line))
    };
    for unlock in ["tpm2", "tpm2+pin"] {
        let keeps = format!("existing = \"keep-state\"\nencrypt.unlock = [\"{unlock}\"]");
        assert_eq!(told(&keeps), Some((true, 3)), "{unlock}");
        assert_eq!(told(&format!("{keeps}\nencrypt.passphrase = {{ secret = \"disk\" }}")), None);
        assert_eq!(told(&keeps.replace("keep-state", "wipe")), None);
    }
    assert_eq!(told("existing = \"keep-state\"\nencrypt.unlock = [\"tpm2\", \"passphrase\"]"), None);
}

#[test]
fn unknown_hosts_are_suggested() {
    let files = [("hosts/laptop.toml", "")];
    let problems = site(&files).resolve("latpop").expect_err("there is no such host");
    assert!(problems.to_string().contains("did you mean `laptop`?"));
}

#[test]
fn a_readers_file_that_is_odd_is_an_error_and_never_a_panic() {
    let odd = [
        "",
        "\u{feff}packages = []",
        "packages = [[[[]]]]",
        "a.b.c.d.e.f = 1",
        "\"\" = 1",
        "[\"\"]",
        "[users.\"\"]",
        "[users.\"\\u0000\"]\nuid = 1000",
        "packages = [\"-\", \"--\", \"-*\", \"*\", \"\"]",
        "[home.\"*\".files.\"../../etc/passwd\"]\ntext = \"\"",
        "[secrets.\"../x\"]\nfile = \"/etc/shadow\"\nexpose = true",
        "[kernel]\nparams = [\"\\n\"]",
        "[firewall]\ntcp = [-1, 0, 65536, 9223372036854775807]",
        "uid = 0x7fffffffffffffff",
        "x = inf\ny = nan",
        "[disk]\nmatch = { any = [], none = [{}] }",
        "[disk]\nmatch = { size = \"99999999999999999999T..\" }",
        "imports = [\"\", \"/\", \"..\", \"hosts/h\", \"site\", \":\", \"builtin:\"]",
        "device = \"../../x\"",
        "desktop = \"auto\"\ngpu = \"none\"\ndevice = \"auto\"",
    ];
    for text in odd {
        let site = site(&[("hosts/h.toml", text), ("m.toml", text)]);
        let _ = site.check();
        let _ = site.resolve("h");
    }
    let deep = format!("x = {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(!errors(&[("hosts/h.toml", &deep)]).is_empty());
    let wide = format!("packages = [{}]", "\"git\",".repeat(20_000));
    assert_eq!(host(&[("hosts/h.toml", &wide)]).packages.len(), 2);
}

#[test]
fn a_slip_in_a_group_is_a_warning_where_a_lock_tells_which_groups_there_are() {
    let mut lock = landfall_hosts::lock::Lock::default();
    lock.ids.add_group("docker", 990).expect("a free id");
    let text = lock.to_text();
    let warnings = |group: &str| {
        let host = format!("[users.sam]\ngroups = [\"{group}\"]");
        let problems = site(&[("hosts/h.toml", &host), ("landfall.lock", &text)]).check();
        problems
            .iter()
            .filter(|p| p.severity == Severity::Warning)
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(warnings("docker"), Vec::<String>::new());
    assert_eq!(warnings("libvirt"), Vec::<String>::new(), "a package may still make it");
    assert!(warnings("dokcer")[0].contains("did you mean \"docker\"?"));
}
