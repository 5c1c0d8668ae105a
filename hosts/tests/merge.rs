//! Each merge rule, by its number in the schema's description.

mod common;

use common::{errors, host, one_error, site};
use landfall_hosts::site::{Effect, why};

#[test]
fn rule_1_tiers_run_from_defaults_to_the_host() {
    let files = [
        (
            "site.toml",
            "schema = 1\ncommon = [\"people\", \"c\"]\n[admins]\nx = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
        ),
        ("c.toml", "[locale]\nkeyboard = \"gb\"\nlang = \"en_GB.UTF-8\"\ntimezone = \"UTC\""),
        ("m.toml", "[locale]\nlang = \"de_DE.UTF-8\"\ntimezone = \"Europe/Berlin\""),
        ("hosts/h.toml", "imports = [\"m\"]\n[locale]\ntimezone = \"Europe/Paris\""),
    ];
    let locale = host(&files).locale;
    assert_eq!(locale.keyboard, "gb", "common beats the defaults");
    assert_eq!(locale.lang, "de_DE.UTF-8", "an import beats common");
    assert_eq!(locale.timezone, "Europe/Paris", "the host beats all");
    assert_eq!(host(&[("hosts/h.toml", "")]).locale.lang, "C.UTF-8", "there is a default");
}

#[test]
fn rule_1_a_file_of_several_tiers_counts_in_the_strongest() {
    let files = [
        (
            "site.toml",
            "schema = 1\ncommon = [\"people\", \"a\"]\n[admins]\nx = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
        ),
        ("a.toml", "imports = [\"b\"]\n[locale]\nkeyboard = \"gb\""),
        ("b.toml", "[locale]\nkeyboard = \"de\""),
        ("hosts/h.toml", "imports = [\"b\"]"),
    ];
    assert_eq!(host(&files).locale.keyboard, "de");
}

#[test]
fn rule_2_a_file_beats_every_file_that_it_imports() {
    let files = [
        ("a.toml", "imports = [\"b\"]\n[locale]\nkeyboard = \"a\""),
        ("b.toml", "imports = [\"c\"]\n[locale]\nkeyboard = \"b\"\nlang = \"de_DE.UTF-8\""),
        ("c.toml", "[locale]\nkeyboard = \"c\"\nlang = \"en_GB.UTF-8\""),
        ("hosts/h.toml", "imports = [\"c\", \"b\", \"a\"]"),
    ];
    let host = host(&files);
    assert_eq!(host.locale.keyboard, "a");
    assert_eq!(host.locale.lang, "de_DE.UTF-8");
}

const CLASH: [(&str, &str); 2] =
    [("a.toml", "[locale]\nkeyboard = \"gb\""), ("b.toml", "[locale]\nkeyboard = \"de\"")];

#[test]
fn rule_3_two_equal_files_that_differ_are_an_error_with_both_places() {
    let files = [CLASH[0], CLASH[1], ("hosts/h.toml", "imports = [\"a\", \"b\"]")];
    one_error(&files, &["a.toml:2:12", "b.toml:2:12", "locale.keyboard", "hosts/h.toml"]);
}

#[test]
fn rule_3_equal_values_or_a_stronger_file_settle_it() {
    let same = [CLASH[0], ("b.toml", CLASH[0].1), ("hosts/h.toml", "imports = [\"a\", \"b\"]")];
    assert_eq!(host(&same).locale.keyboard, "gb");
    let settled =
        [CLASH[0], CLASH[1], ("hosts/h.toml", "imports = [\"a\", \"b\"]\n[locale]\nkeyboard = \"fr\"")];
    assert_eq!(host(&settled).locale.keyboard, "fr");
    let importer = [
        CLASH[0],
        CLASH[1],
        ("c.toml", "imports = [\"a\", \"b\"]\n[locale]\nkeyboard = \"it\""),
        ("hosts/h.toml", "imports = [\"c\"]"),
    ];
    assert_eq!(host(&importer).locale.keyboard, "it");
}

#[test]
fn rule_4_tables_merge_key_by_key() {
    let files = [
        ("files/k", ""),
        ("a.toml", "[apt.x]\nuri = \"https://a.example\"\nsuite = \"s\"\nkey = \"files/k\""),
        ("hosts/h.toml", "imports = [\"a\"]\n[apt.x]\nsuite = \"t\""),
    ];
    let host = host(&files);
    assert_eq!(host.sources.apt["x"].uri, "https://a.example");
    assert_eq!(host.sources.apt["x"].suite, "t");
    one_error(&[("hosts/h.toml", "[[apt]]\nname = \"x\"")], &["hosts/h.toml:1", "[apt.NAME]"]);
}

#[test]
fn rule_5_sets_append_and_duplicates_vanish() {
    let files = [
        ("a.toml", "packages = [\"git\", \"vim\"]\n[firewall]\ntcp = [80, 22]"),
        ("hosts/h.toml", "imports = [\"a\"]\npackages = [\"vim\", \"htop\"]\n[firewall]\ntcp = [443, 80]"),
    ];
    let host = host(&files);
    assert_eq!(host.packages.iter().collect::<Vec<_>>(), ["git", "htop", "openssh-server", "vim"]);
    assert_eq!(host.firewall.tcp.iter().copied().collect::<Vec<_>>(), [22, 80, 443]);
}

#[test]
fn rule_5_a_removal_acts_on_weaker_files() {
    let files = [
        ("a.toml", "packages = [\"git\", \"vim:i386\"]\n[firewall]\ntcp = [80, 22]"),
        ("hosts/h.toml", "imports = [\"a\"]\npackages = [\"-vim:i386\"]\n[firewall]\ntcp = [\"-80\"]"),
    ];
    let host = host(&files);
    assert!(!host.packages.contains("vim:i386"));
    assert!(host.packages.contains("git"));
    assert_eq!(host.firewall.tcp.len(), 1);
}

#[test]
fn rule_5_a_star_takes_all_that_weaker_files_gave() {
    let files = [
        ("a.toml", "packages = [\"git\"]"),
        ("hosts/h.toml", "imports = [\"a\"]\npackages = [\"-*\", \"openssh-server\"]"),
    ];
    assert_eq!(host(&files).packages.iter().collect::<Vec<_>>(), ["openssh-server"]);
}

#[test]
fn rule_5_a_removal_against_an_equal_file_is_an_error() {
    let files = [
        ("a.toml", "packages = [\"git\"]"),
        ("b.toml", "packages = [\"-git\"]"),
        ("hosts/h.toml", "imports = [\"a\", \"b\"]"),
    ];
    one_error(&files, &["a.toml:1:13", "b.toml:1:13", "packages"]);
    let settled = [files[0], files[1], ("hosts/h.toml", "imports = [\"a\", \"b\"]\npackages = [\"git\"]")];
    assert!(host(&settled).packages.contains("git"));
}

#[test]
fn rule_5_a_removal_that_finds_nothing() {
    one_error(&[("hosts/h.toml", "packages = [\"-opnssh-server\"]")], &["did you mean \"-openssh-server\"?"]);
    let elsewhere =
        [("other.toml", "packages = [\"chromium\"]"), ("hosts/h.toml", "packages = [\"-chromium\"]")];
    assert_eq!(errors(&elsewhere), Vec::<String>::new(), "some module of the site knows the name");
    one_error(&[("hosts/h.toml", "packages = [\"git\", \"-git\"]")], &["both has and takes away"]);
}

#[test]
fn rule_5_one_package_has_one_suite() {
    let files = [
        ("a.toml", "packages = [\"podman\"]"),
        (
            "site.toml",
            "schema = 1\nextra_suites = [\"trixie-backports\"]\ncommon = [\"people\"]\n[admins]\nx = \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
        ),
        ("hosts/h.toml", "imports = [\"a\"]\npackages = [\"podman/trixie-backports\"]"),
    ];
    let host = host(&files);
    assert!(host.packages.contains("podman/trixie-backports"));
    assert!(!host.packages.contains("podman"));
    one_error(&[("hosts/h.toml", "packages = [\"podman/trixie-backprots\"]")], &["extra_suites"]);
}

#[test]
fn rule_5_what_is_one_thing_is_never_appended() {
    let files = [
        ("a.toml", "[home.sam.dconf.\"org/x\"]\nclose = [\"a\", \"b\"]\n[disk]\nmatch = { serial = \"a\" }"),
        (
            "hosts/h.toml",
            "imports = [\"a\"]\n[home.sam.dconf.\"org/x\"]\nclose = [\"c\"]\n[disk]\nmatch = { wwn = \"b\" }",
        ),
    ];
    let host = host(&files);
    assert_eq!(host.home["sam"].dconf["org/x"]["close"].as_array().map(Vec::len), Some(1));
    assert_eq!(host.disk.match_rule.keys.keys().collect::<Vec<_>>(), ["wwn"]);
}

#[test]
fn kernel_params_keep_file_order_weak_to_strong() {
    let files = [
        ("a.toml", "imports = [\"b\"]\n[kernel]\nparams = [\"z\", \"a\"]"),
        ("b.toml", "[kernel]\nparams = [\"y\", \"b\"]"),
        ("hosts/h.toml", "imports = [\"a\"]\n[kernel]\nparams = [\"c\", \"-b\"]"),
    ];
    assert_eq!(host(&files).kernel.params, ["y", "z", "a", "c"]);
}

const WIFI: &str = "[network.wifi.home]\nssid = \"x\"\nhidden = true";

#[test]
fn rule_6_false_takes_a_named_table_away() {
    let drop = ("hosts/h.toml", "imports = [\"a\"]\n[network.wifi]\nhome = false");
    assert!(host(&[("a.toml", WIFI), drop]).network.wifi.is_empty());
    one_error(&[("hosts/h.toml", "[network.wifi]\nhome = false")], &["what no module sets"]);
    let equal = [
        ("a.toml", WIFI),
        ("b.toml", "[network.wifi]\nhome = false"),
        ("hosts/h.toml", "imports = [\"a\", \"b\"]"),
    ];
    one_error(&equal, &["a.toml", "b.toml:2:1"]);
}

#[test]
fn rule_6_what_was_taken_away_may_be_said_anew() {
    let files = [
        ("a.toml", WIFI),
        ("b.toml", "imports = [\"a\"]\n[network.wifi]\nhome = false"),
        ("hosts/h.toml", "imports = [\"b\"]\n[network.wifi.home]\nssid = \"y\""),
    ];
    let wifi = host(&files).network.wifi;
    assert_eq!(wifi["home"].ssid, "y");
    assert!(!wifi["home"].hidden, "nothing of what was taken away comes back");
}

#[test]
fn rule_6_a_bool_of_an_ini_key_is_a_value_and_unset_deletes() {
    let files = [
        ("a.toml", "[home.sam.ini.\".config/x\".G]\nk = true\nl = 1"),
        (
            "hosts/h.toml",
            "imports = [\"a\"]\n[home.sam.ini.\".config/x\".G]\nk = false\nl = { unset = true }",
        ),
    ];
    let keys = &host(&files).home["sam"].ini[".config/x"]["G"];
    assert_eq!(keys["k"].as_bool(), Some(false));
    assert_eq!(keys["l"]["unset"].as_bool(), Some(true));
}

const DESKTOPS: [(&str, &str); 2] = [
    ("desktop/x.toml", "slot = \"desktop\"\npackages = [\"xx\", \"shared\"]"),
    ("desktop/y.toml", "slot = \"desktop\"\npackages = [\"yy\"]"),
];

#[test]
fn rule_7_a_slot_has_one_module_and_one_word_changes_it() {
    let [x, y] = DESKTOPS;
    let with = |word| {
        let text = format!("desktop = \"{word}\"\npackages = [\"shared\", \"zz\"]");
        host(&[x, y, ("hosts/h.toml", &text)])
    };
    assert_eq!(with("x").desktop_packages.iter().collect::<Vec<_>>(), ["shared", "xx"]);
    assert!(!with("x").packages.contains("shared"), "a package is in one layer");
    assert_eq!(with("y").desktop_packages.iter().collect::<Vec<_>>(), ["yy"]);
    assert!(with("none").desktop_packages.is_empty());
    let two = [x, y, ("hosts/h.toml", "imports = [\"desktop/x\", \"desktop/y\"]")];
    assert!(errors(&two)[0].contains("slot `desktop`"), "{:?}", errors(&two));
    let replaced = [
        x,
        y,
        ("m.toml", "imports = [\"desktop/x\"]"),
        ("hosts/h.toml", "imports = [\"m\"]\ndesktop = \"y\""),
    ];
    assert_eq!(host(&replaced).desktop_packages.iter().collect::<Vec<_>>(), ["yy"]);
    let both = [x, y, ("hosts/h.toml", "imports = [\"desktop/x\"]\ndesktop = \"y\"")];
    one_error(&both, &["desktop/x.toml", "slot `desktop`"]);
}

#[test]
fn rule_8_names_are_the_sites_else_the_shipped_ones() {
    let shipped = host(&[("hosts/h.toml", "device = \"vm\"")]);
    assert!(shipped.packages.contains("qemu-guest-agent"));
    let own = [("device/vm.toml", "slot = \"device\""), ("hosts/h.toml", "device = \"vm\"")];
    assert!(!host(&own).packages.contains("qemu-guest-agent"), "a site's file takes the whole name");
    let extended = [
        ("device/vm.toml", "slot = \"device\"\nimports = [\"builtin:device/vm\"]\npackages = [\"vim\"]"),
        ("hosts/h.toml", "device = \"vm\""),
    ];
    assert!(host(&extended).packages.contains("qemu-guest-agent"));
    one_error(&[("hosts/h.toml", "imports = [\"desktop/kdee\"]")], &["did you mean", "desktop/kde"]);
    one_error(&[("hosts/h.toml", "device = \"lapotp\"")], &["hosts/h.toml:1:10", "device/laptop"]);
    one_error(&[("hosts/h.toml", "imports = [\"friend:x\"]")], &["[inputs.friend]"]);
}

#[test]
fn rule_9_auto_is_resolved_from_facts() {
    let auto = ("hosts/h.toml", "device = \"auto\"");
    let facts = |text| host(&[auto, ("facts/h.json", text)]).device;
    assert_eq!(facts(r#"{"schema":1,"facts":{"virtual":true}}"#).as_deref(), Some("vm"));
    assert_eq!(facts(r#"{"battery":true,"chassis":["notebook"]}"#).as_deref(), Some("laptop"));
    let probed = r#"{"schema":1,"facts":{"hypervisor":"kvm","chassis":null,"memory_bytes":1}}"#;
    assert_eq!(facts(probed).as_deref(), Some("vm"), "the probe's own words");
    assert_eq!(host(&[auto]).device.as_deref(), Some("auto"), "it waits for facts");
    let tie = [
        auto,
        ("facts/h.json", "{\"virtual\":true}"),
        ("device/other.toml", "[match]\nvirtual = true\nrank = 30"),
    ];
    one_error(&tie, &["device/other", "device/vm", "rank"]);
    one_error(&[auto, ("facts/h.json", "[")], &["facts/h.json"]);
}

#[test]
fn rule_10_readers_follow_from_use() {
    let secret =
        "[secrets.k]\nfile = \"secrets/k.age\"\n[secrets.l]\nfile = \"secrets/l.age\"\nexpose = true";
    let files = [
        ("a.toml", secret),
        ("secrets/k.age", ""),
        ("secrets/l.age", ""),
        ("hosts/h.toml", "imports = [\"a\"]\n[files.\"/etc/x\"]\ntemplate = \"a ${secret:k} b\""),
        ("hosts/i.toml", "imports = [\"a\"]"),
    ];
    let site = site(&files);
    assert_eq!(site.secret_readers("k").into_iter().collect::<Vec<_>>(), ["h"]);
    assert_eq!(site.secret_readers("l").into_iter().collect::<Vec<_>>(), ["h", "i"]);
}

#[test]
fn why_tells_who_set_a_value_and_what_it_overrode() {
    let files = [
        ("a.toml", "packages = [\"git\", \"vim\"]\n[locale]\nlang = \"de_DE.UTF-8\""),
        ("hosts/h.toml", "imports = [\"a\"]\npackages = [\"-vim\"]\n[locale]\nlang = \"en_GB.UTF-8\""),
    ];
    let resolved = site(&files).resolve("h").expect("it resolves");
    let lang = why::why(&resolved, "locale.lang").expect("it is set");
    let told: Vec<(String, bool)> =
        lang[0].settings.iter().map(|s| (s.at.to_string(), s.effect == Effect::Set)).collect();
    let place = |text: &str, set| (text.to_owned(), set);
    assert_eq!(told[..2], [place("hosts/h.toml:4:8", true), place("a.toml:3:8", false)]);
    assert!(told[2].0.starts_with("default:"));
    let vim = why::why(&resolved, "packages.vim").expect("it was removed");
    assert_eq!(vim[0].settings[0].effect, Effect::Removes);
    assert!(why::why(&resolved, "packages").expect("a whole set").len() >= 3);
    assert!(why::why(&resolved, "locale.lnag").unwrap_err().contains("`lang`"));
    assert!(why::why(&resolved, "suite").is_err(), "the site does not say it");
    assert!(why::why(&resolved, "a b \u{0} = [").is_err());
}

/// A small generator of numbers, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.throw(i + 1));
        }
    }
}

/// Random modules that import each other without cycles; the imports in any order.
fn random_site(seed: u64, order: u64) -> Vec<(String, String)> {
    let mut dice = Dice(seed | 1);
    let mut order = Dice(order | 1);
    let mut list = |count: usize, from: usize, dice: &mut Dice| {
        let mut names: Vec<String> =
            (from..count).filter(|_| dice.throw(3) == 0).map(|i| format!("\"m{i}\"")).collect();
        order.shuffle(&mut names);
        names.join(", ")
    };
    let mut files = Vec::new();
    for i in 0..7 {
        let imports = list(7, i + 1, &mut dice);
        let mut text = format!("imports = [{imports}]\n");
        let words = ["\"git\"", "\"-git\"", "\"vim\"", "\"-vim\"", "\"-*\"", "\"podman\""];
        text += &format!("packages = [{}, {}]\n", words[dice.throw(6)], words[dice.throw(6)]);
        text += &format!("[kernel]\nparams = [\"p{}\", \"q{}\"]\n", dice.throw(3), dice.throw(3));
        if dice.throw(3) == 0 {
            text += &format!("[locale]\nkeyboard = \"k{}\"\n", dice.throw(2));
        }
        text += match dice.throw(4) {
            0 => "[network.wifi]\nhome = false\n",
            1 => "[network.wifi.home]\nssid = \"a\"\n",
            2 => "[network.wifi.home]\nssid = \"b\"\nhidden = true\n",
            _ => "",
        };
        files.push((format!("m{i}.toml"), text));
    }
    files.push(("hosts/h.toml".into(), format!("imports = [{}]\n", list(7, 0, &mut dice))));
    files
}

#[test]
fn the_order_of_imports_never_changes_a_result() {
    let mut merged = 0;
    for seed in 1..200u64 {
        let result = |order: u64| {
            let files = random_site(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15), order);
            let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
            match site(&files).resolve("h") {
                Ok(resolved) => Ok(resolved.host),
                // Columns of words in a list of imports move with them; what is wrong does not.
                Err(problems) => {
                    Err(problems.0.into_iter().map(|p| (p.at.file, p.message)).collect::<Vec<_>>())
                }
            }
        };
        let first = result(1);
        merged += usize::from(first.is_ok());
        for order in [77, 4242, 999_983] {
            assert_eq!(result(order), first, "seed {seed}, order {order}");
        }
    }
    assert!(merged > 10, "the generator makes too few valid sites: {merged}");
}
