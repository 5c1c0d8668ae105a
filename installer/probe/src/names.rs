//! Names that makers give to whole families, for where no property of the hardware tells forms
//! apart: Apple's iMac and MacBook both say "laptop" in their chassis type.
//!
//! They are the brands under which makers sell whole families, and vendor texts of those who build one
//! form alone: known in the trade, and published nowhere as a list. A single model's name stands here
//! only where its maker has no family for it.
//!
//! Names are compared without case, spaces and punctuation, since firmware spells them all ways.

/// Families that have a battery and a screen.
pub const PORTABLE: &[&str] = &[
    "*book",
    "laptop",
    "swift",
    "travelmate",
    "latitude",
    "satellite",
    "tecra",
    "portege",
    "yoga",
    "convertible",
    "x360",
    "2in1",
    "2n1",
    "tablet",
    "steamdeck",
    "rogally",
    "legiongo",
    "mobileworkstation",
    "mobilethinclient",
    "mobileprecision",
    "dragonfly",
    "spectre",
    "vaio",
    "aspireone",
    "flex",
    "miix",
    "qosmio",
    "esprimomobile",
    "*pad",
    "easynote",
    "amilo",
    "stylistic",
    "venue",
    "gamingzone",
    "claw",
];

/// Families that stand on or under a desk.
pub const STATIONARY: &[&str] = &[
    "desktop",
    "allinone",
    "aio",
    "imac",
    "macmini",
    "macpro",
    "macstudio",
    "optiplex",
    "thinkcentre",
    "thinkstation",
    "ideacentre",
    "elitedesk",
    "prodesk",
    "eliteone",
    "proone",
    "compaqpro",
    "veriton",
    "esprimo",
    "minipc",
    "minitower",
    "tower",
    "workstation",
    "thinclient",
    "chromebase",
    "deskmini",
    "deskmeet",
    "nuc",
    "stickpc",
    "futro",
    "cubi",
    "barebone",
    "smallformfactor",
    "brix",
    "gbb",
    "liva",
    "vivopc",
    "vivomini",
    "nettop",
    "mediacenter",
    "thinkedge",
    "elitemini",
    "eliteslice",
    "promini",
    "pavilionmini",
    "computestick",
    "wyse",
    "tinyinone",
    "windtop",
    "artigo",
    "imedia",
    "onetwo",
    "revo",
    "*box",
    "vxc",
    "dimension",
    "netvista",
    "intellistation",
    "scaleo",
    "thelio",
    "meerkat",
];

/// Families that stand in a rack.
pub const SERVER: &[&str] = &[
    "poweredge",
    "proliant",
    "primergy",
    "primequest",
    "thinksystem",
    "thinkserver",
    "bladecenter",
    "systemx3",
    "x3550",
    "x3650",
    "x3850",
    "sunfire",
    "sunserver",
    "synergy",
    "hpecray",
    "fusionserver",
    "taishan",
    "sparc",
    "apollo",
    "microserver",
    "altos",
    "proserver",
    "edgeline",
    "cloudline",
    "serverboard",
    "superdome",
    "sunblade",
    "eserver",
    "vegman",
    "nutanix",
    "vxrail",
    "rackserver",
    "flexsystem",
    "idataplex",
    "oracleserver",
    "express5800",
    "quantagrid",
    "quantaplex",
    "ha8000",
    "ucs",
    "dgxa1",
    "dgxb2",
    "dgxh1",
    "dgxh2",
    "dgx1",
    "dgx2",
    "hgx",
    "xserve",
    "netra",
    "thinkagile",
    "simplivity",
    "storeeasy",
    "ftserver",
    "bladesymphony",
    "hyperflex",
    "powervault",
    "kunlun",
];

/// Makers that build for racks alone, as system or board vendor.
pub const SERVER_MAKERS: &[&str] = &[
    "supermicro",
    "asrockrack",
    "tyan",
    "inspur",
    "ieit",
    "quantacloud",
    "qct",
    "wiwynn",
    "45drives",
    "penguincomputing",
    "appro",
    "cray",
    "sgi",
    "bull",
    "ampere",
    "gooxi",
    "h3c",
    "xfusion",
    "sugon",
    "rackable",
    "ztsystems",
    "mitaccomputing",
    "amazonec2",
    "newh3c",
    "gigacomputing",
    "yadro",
    "kaytus",
    "aivres",
    "ieisystem",
    "nettrix",
    "powerleader",
    "siliconmechanics",
    "silicongraphics",
    "atos",
    "hyve",
    "aic",
    "stratus",
];

/// Makers without a portable machine: of main boards, of mini PCs, of workstations.
pub const STATIONARY_MAKERS: &[&str] = &[
    "gigabytetechnology",
    "asrock",
    "biostar",
    "foxconn",
    "zotac",
    "shuttle",
    "compulab",
    "sunmicrosystems",
    "hardkernel",
    "maxtang",
    "beelink",
    "azw",
    "minisforum",
    "micromini",
    "minix",
    "protectli",
    "cisco",
    "wyse",
    "igel",
    "evga",
    "supero",
    "nzxt",
    "boxx",
    "aaeon",
    "advantech",
    "jetway",
    "qotom",
    "trigkey",
    "gmktec",
    "geekom",
    "topton",
    "cwwk",
    "acemagic",
    "morefine",
    "aopen",
    "sapphire",
    "giada",
    "microcomputerhk",
    "besstar",
    "kontron",
    "axiomtek",
    "lanner",
    "pcengines",
    "10zig",
    "clientron",
    "ncomputing",
    "devonit",
    "icewhale",
    "lattepanda",
    "radxa",
    "seeed",
    "onlogic",
    "logicsupply",
    "neousys",
    "vecow",
    "dfi",
    "ibase",
    "portwell",
    "nexcom",
    "avalue",
    "adlink",
    "commell",
    "peladn",
    "aoostar",
    "hystou",
    "huananzhi",
    "machinist",
    "jginyue",
    "kllisre",
    "abit",
    "epox",
    "pcchips",
    "albatron",
];

/// Makers of portable machines alone.
pub const PORTABLE_MAKERS: &[&str] = &[
    "gpd",
    "onenetbook",
    "ayaneo",
    "razer",
    "onexplayer",
    "ayadevice",
    "ayn",
    "aokzoe",
    "panasonic",
    "matsushita",
    "getac",
    "motioncomputing",
    "xplore",
    "averatec",
    "vaio",
    // What Clevo's boards say where nobody put a name.
    "notebook",
];

/// Makers of mostly portable machines, some of which left the chassis type at "other".
pub const MOSTLY_PORTABLE_MAKERS: &[&str] = &[
    "acer",
    "emachines",
    "packardbell",
    "toshiba",
    "dynabook",
    "samsung",
    "sony",
    "lgelectronics",
    "compal",
    "quanta",
    "wistron",
    "clevo",
    "uniwill",
    "twinhead",
    "benq",
    "arima",
    "mitac",
    "hasee",
    "haier",
    "tongfang",
    "xiaomi",
    "timi",
    "huawei",
    "honor",
    "chuwi",
    "teclast",
    "microsoft",
    "valve",
    "tuxedo",
    "starlabs",
    "purism",
    "schenker",
    "system76",
    "framework",
    "medion",
    "gateway",
];

/// Letters and digits alone, in lower case.
pub fn squash(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The first of `names` in one of `texts`. Short names must begin a text: `nuc` is in many words;
/// one with a star stands anywhere in a word, as makers' families are some book, pad or box.
pub fn family(names: &[&str], texts: &[String]) -> Option<String> {
    names.iter().find_map(|name| {
        let hit = |text: &&String| {
            let whole = squash(text);
            if let Some(part) = name.strip_prefix('*') {
                words(text).any(|word| word.contains(part))
            } else if name.len() <= 4 {
                whole.starts_with(name) || words(text).any(|word| word.starts_with(name))
            } else {
                whole.contains(name)
            }
        };
        let said = name.trim_start_matches('*');
        texts.iter().find(hit).map(|text| format!("\"{text}\" names {said}"))
    })
}

/// The first of `makers` that begins one of `texts`.
pub fn maker(makers: &[&str], texts: &[String]) -> Option<String> {
    texts.iter().find_map(|text| {
        let whole = squash(text);
        let hit = makers.iter().any(|maker| {
            let rest = whole.strip_prefix(maker);
            // A short maker's name must be all of the first word.
            rest.is_some_and(|_| maker.len() > 5 || words(text).next().is_some_and(|word| word == *maker))
        });
        // ASRock makes boards for desks, ASRockRack those for racks: the longer name is asked first.
        hit.then(|| format!("the maker is \"{text}\""))
    })
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        vec![text.to_owned()]
    }

    #[test]
    fn families_are_found_in_any_spelling() {
        assert!(family(SERVER, &texts("PowerEdgeR820")).is_some());
        assert!(family(STATIONARY, &texts("HP All-in-One 21-b0xxx")).is_some());
        assert!(family(STATIONARY, &texts("NUC11PAHi7")).is_some());
        assert!(family(STATIONARY, &texts("Lennucia")).is_none());
        assert!(family(STATIONARY, &texts("GB-BXBT-1900")).is_some(), "Gigabyte's BRIX");
        assert!(family(PORTABLE, &texts("Inspiron 7506 2n1")).is_some());
        assert!(family(PORTABLE, &texts("")).is_none());
        for name in ["Surface Book", "EZpad 6", "HP ElitePad 1000", "HP 15 Notebook PC"] {
            assert!(family(PORTABLE, &texts(name)).is_some(), "{name}");
        }
        for name in ["ZBOX-ID18", "LarkBox X", "Chromebox"] {
            assert!(family(STATIONARY, &texts(name)).is_some(), "{name}");
        }
        assert!(family(PORTABLE, &texts("EP-AD45")).is_none(), "not across words");
    }

    #[test]
    fn makers_begin_the_text() {
        assert!(maker(SERVER_MAKERS, &texts("ASRockRack")).is_some());
        assert!(maker(SERVER_MAKERS, &texts("ASRock")).is_none());
        assert!(maker(PORTABLE_MAKERS, &texts("GPD")).is_some());
        assert!(maker(PORTABLE_MAKERS, &texts("GPDX Industries")).is_none());
        assert!(maker(STATIONARY_MAKERS, &texts("Cisco")).is_some());
    }
}
