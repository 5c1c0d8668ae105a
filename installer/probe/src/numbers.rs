//! How makers number their models, for where the number says the form and no family's name does.
//!
//! Makers publish few of these rules. They are read off the names of their models, so a line that is
//! found wrong on one machine goes, and is not mended with an exception.
//!
//! Compared like names, without case, spaces and punctuation. In a pattern `#` is a digit and `@` a
//! letter; what follows the pattern is free.

use crate::names;

/// Models of one maker that have one form.
struct Numbering {
    /// As system or board vendor; none of them for numbers that are unmistakable.
    makers: &'static [&'static str],
    form: &'static str,
    models: &'static [&'static str],
}

/// The first that fits decides.
const NUMBERINGS: &[Numbering] = &[
    // Lenovo's machine types: since 2013 two digits and a letter.
    // 20 and 21 are ThinkPads, 80 to 83 IdeaPads, Yogas and Legions, and LNVNB their boards.
    Numbering {
        makers: LENOVO,
        form: "laptop",
        models: &["20@", "21@", "80@", "81@", "82@", "83@", "lnvnb"],
    },
    // 10 to 12 are ThinkCentres, 30 ThinkStations, 90 and 91 IdeaCentres, F0 all-in-ones.
    Numbering { makers: LENOVO, form: "desktop", models: &["10@", "11@", "12@", "30@", "90@", "91@", "f0@"] },
    // 70 are ThinkServers, 7D, 7X, 7Y and 7Z ThinkSystems.
    Numbering { makers: LENOVO, form: "server", models: &["70@#", "7d##", "7x##", "7y##", "7z##"] },
    // MSI's boards: 1 and N are notebooks, 6 and 7 main boards, A
    // all-in-ones, B barebones, S servers.
    Numbering { makers: MSI, form: "laptop", models: &["ms1", "msn0"] },
    Numbering { makers: MSI, form: "desktop", models: &["ms6", "ms7", "msa", "msb"] },
    Numbering { makers: MSI, form: "server", models: &["mss"] },
    // HP: mt are mobile thin clients, n… and four digits with b, s or w business notebooks
    // of Compaq's time, Mini netbooks. (With p they cannot be told from a Pro.)
    Numbering {
        makers: HP,
        form: "laptop",
        models: &[
            "hpmt##",
            "hpcompaqn@####",
            "hpcompaq####b",
            "hpcompaq####s",
            "hpcompaq####w",
            "hpmini#",
            "compaqmini",
        ],
    },
    // t are thin clients, Z workstations, d… business desktops, rp tills; a TouchSmart with a number
    // alone is an all-in-one.
    Numbering {
        makers: HP,
        form: "desktop",
        models: &["hpt###", "hpz#", "hpcompaqd@####", "hprp#", "hptouchsmart###"],
    },
    // Sony's VAIO: VGC, J and L are all-in-ones, whose board says "VAIO" like a notebook's.
    Numbering { makers: &["sony"], form: "desktop", models: &["vgc", "vpcj", "vpcl", "svj", "svl"] },
    // Acer's Aspire: notebooks have A, E, F, R, S, V and plain numbers.
    Numbering {
        makers: &["acer"],
        form: "desktop",
        models: &["aspirexc", "aspiretc", "aspiregx", "aspirex####", "aspirec##", "aspireu5"],
    },
    // Samsung: NP and 300E are notebooks.
    Numbering { makers: &["samsung"], form: "desktop", models: &["dp###", "dm###", "db###"] },
    // LG: a V behind the inches is an all-in-one, Z, T and N are notebooks.
    Numbering { makers: &["lgelectronics"], form: "desktop", models: &["##v"] },
    // Fujitsu's CELSIUS: H is mobile, the others stand.
    Numbering { makers: &["fujitsu"], form: "laptop", models: &["celsiush"] },
    Numbering { makers: &["fujitsu"], form: "desktop", models: &["celsius"] },
    // ASUS: Eee PCs have four digits that begin with 10 or 12; ET are all-in-ones, EB Eee Boxes.
    Numbering { makers: ASUS, form: "laptop", models: &["10##@", "12##@"] },
    Numbering { makers: ASUS, form: "desktop", models: &["et####", "eb1###"] },
    // ASUS's RS and TS are servers for racks and offices, ESC those for GPUs.
    Numbering { makers: ASUS, form: "server", models: &["rs###", "ts###e#", "esc####"] },
    // Gigabyte: GB are BRIX; M, a letter and two digits are boards for servers, but for MW.
    Numbering { makers: GIGABYTE, form: "desktop", models: &["gb@", "mw##"] },
    Numbering {
        makers: GIGABYTE,
        form: "server",
        models: &["m@##@@#", "r###@##", "g###@##", "h###@##", "e###@##", "s###@##", "t###@##"],
    },
    // Intel: LAP are kits for laptops, boards for servers an S, digits, letters, and systems SR.
    Numbering { makers: INTEL, form: "laptop", models: &["lap@@#"] },
    Numbering { makers: INTEL, form: "server", models: &["s####@", "s###@", "se####@", "sr####@"] },
    // Boards for desks and the first NUCs, whose chassis says "notebook" now and then, begin with D.
    Numbering { makers: INTEL, form: "desktop", models: &["d@##", "d@@##", "d###"] },
    // Huawei: RH, CH and XH, or a number with H and a generation, are servers.
    Numbering { makers: &["huawei"], form: "server", models: &["rh####", "ch###", "xh###", "####hv#"] },
    // Valve's boards of the Steam Deck (kernel, `drm_panel_orientation_quirks.c`): its
    // other machines stand under a screen.
    Numbering { makers: &["valve"], form: "laptop", models: &["jupiter", "galileo"] },
    // Microsoft's Surface: Studio and Hub stand or hang, all others are carried.
    Numbering { makers: &["microsoft"], form: "desktop", models: &["surfacestudio", "surfacehub"] },
    Numbering { makers: &["microsoft"], form: "laptop", models: &["surface"] },
    // Supermicro's boards, whoever puts his name on them: X and H with a generation, then the number
    // of sockets.
    Numbering {
        makers: ANYBODY,
        form: "server",
        models: &[
            "x7d@@", "x7s@@", "x8d@@", "x8s@@", "x9d@@", "x9s@@", "x1#d@@", "x1#s@@", "x1#q@@", "h8d@@",
            "h8q@@", "h1#d@@", "h1#s@@",
        ],
    },
    // Aquarius: NS are notebooks.
    Numbering { makers: &["aquarius"], form: "laptop", models: &["ns###"] },
];

const ANYBODY: &[&str] = &[];
const INTEL: &[&str] = &["intel"];
const LENOVO: &[&str] = &["lenovo"];
const ASUS: &[&str] = &["asus", "asustek"];
const MSI: &[&str] = &["microstar", "msi"];
const HP: &[&str] = &["hewlettpackard", "hp"];
const GIGABYTE: &[&str] = &["gigabyte", "gigacomputing"];

/// The form that a model's number says, and the facts for it.
pub fn form(models: &[String], makers: &[String]) -> Option<(&'static str, String)> {
    NUMBERINGS.iter().find_map(|numbering| {
        let hit = |text: &&String| {
            let text = names::squash(text);
            numbering.models.iter().any(|pattern| fits(pattern, &text))
        };
        let model = models.iter().find(hit)?;
        let made = || names::maker(numbering.makers, makers).is_some();
        (numbering.makers.is_empty() || made()).then_some(())?;
        Some((numbering.form, format!("\"{model}\" is the number of a {}", numbering.form)))
    })
}

fn fits(pattern: &str, text: &str) -> bool {
    let one = |(wanted, is): (u8, u8)| match wanted {
        b'#' => is.is_ascii_digit(),
        b'@' => is.is_ascii_alphabetic(),
        exact => is == exact,
    };
    text.len() >= pattern.len() && pattern.bytes().zip(text.bytes()).all(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model: &str, maker: &str) -> Option<&'static str> {
        form(&[model.to_owned()], &[maker.to_owned()]).map(|(form, _)| form)
    }

    #[test]
    fn numbers_say_the_form() {
        for (maker, model, form) in [
            ("LENOVO", "20AN006NUS", Some("laptop")),
            ("LENOVO", "LNVNB161216", Some("laptop")),
            ("LENOVO", "10MUS0CB0K", Some("desktop")),
            ("LENOVO", "F0EW004WUK", Some("desktop")),
            ("LENOVO", "7X06CTO1WW", Some("server")),
            ("LENOVO", "2325VM6", None),
            ("Micro-Star International Co., Ltd.", "MS-16P6", Some("laptop")),
            ("MSI", "MS-7C94", Some("desktop")),
            ("HP", "HP t630 Thin Client", Some("desktop")),
            ("HP", "HP mt44 Mobile Thin Client", Some("laptop")),
            ("Hewlett-Packard", "HP Compaq 6710b (GB951EA#ABU)", Some("laptop")),
            ("Hewlett-Packard", "HP Compaq 8200 Elite SFF PC", None),
            ("Hewlett-Packard", "HP TouchSmart tm2 Notebook PC", None),
            ("Hewlett-Packard", "HP TouchSmart 600-1050", Some("desktop")),
            ("HP", "HP ZBook Firefly 14", None),
            ("Sony Corporation", "VPCL22AJ", Some("desktop")),
            ("Acer", "Aspire XC-605", Some("desktop")),
            ("Acer", "Aspire M5-481T", None),
            ("FUJITSU", "CELSIUS H730", Some("laptop")),
            ("FUJITSU", "CELSIUS W550", Some("desktop")),
            ("ASUSTeK COMPUTER INC.", "RS700-E9-RS4", Some("server")),
            ("ASUSTeK COMPUTER INC.", "1015PE", Some("laptop")),
            ("GIGABYTE", "GB-BSi3-6100", Some("desktop")),
            ("GIGABYTE", "MZ32-AR0-00", Some("server")),
            ("Gigabyte Technology Co., Ltd.", "H170-D3HP", None),
            ("Gigabyte Technology Co., Ltd.", "H270-HD3", None),
            ("Intel Corporation", "S2600WTT", Some("server")),
            ("Intel Corp.", "S875WP1-E", Some("server")),
            ("Intel Corporation", "D54250WYK", Some("desktop")),
            ("Intel Corporation", "DH61WW", Some("desktop")),
            ("Intel(R) Client Systems", "LAPBC710", Some("laptop")),
            ("Intel Corporation", "STK1AW32SC", None),
            ("Dell Inc.", "S2600WTT", None),
            ("Microsoft Corporation", "Surface with Windows 8 Pro", Some("laptop")),
            ("Microsoft Corporation", "Surface Laptop Studio", Some("laptop")),
            ("Microsoft Corporation", "Surface Studio 2", Some("desktop")),
            ("Microsoft Corporation", "Virtual Machine", None),
            ("Inspur", "X10DRT-PS", Some("server")),
            ("Penguin", "H12DSG-O-CPU", Some("server")),
            ("ASUSTeK COMPUTER INC.", "X55VD", None),
            ("ASUSTeK COMPUTER INC.", "X541UA", None),
            ("LENOVO", "", None),
            ("", "20AN006NUS", None),
        ] {
            assert_eq!(of(model, maker), form, "{maker} {model}");
        }
    }

    #[test]
    fn what_is_no_ascii_is_no_number() {
        assert_eq!(of("２０ＡＮ", "LENOVO"), None);
        assert_eq!(of("\u{fffd}", "\u{fffd}"), None);
    }
}
