//! A QR code for a console: two modules in one character of a screen, one module in two characters
//! of a serial line. What is light is drawn, for consoles write light on dark.

use qrcodegen::{QrCode, QrCodeEcc};

/// The light border that a reader needs (ISO/IEC 18004).
const QUIET: i32 = 4;

/// The code of `text`, line by line; none where the text is too long for one.
pub fn lines(text: &str, as_text: bool) -> Vec<String> {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Low) else {
        return Vec::new();
    };
    let light = |x: i32, y: i32| !code.get_module(x, y);
    let across = -QUIET..code.size() + QUIET;
    if as_text {
        let line = |y| across.clone().map(|x| if light(x, y) { "##" } else { "  " }).collect();
        return across.clone().map(line).collect();
    }
    let half = |x: i32, y: i32| match (light(x, y), light(x, y + 1)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    across.clone().step_by(2).map(|y| across.clone().map(|x| half(x, y)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_fits_on_a_screen_of_25_lines() {
        let text = "cbdefghi-".repeat(8);
        let screen = lines(&text[..71], false);
        assert!(screen.len() <= 21, "{}", screen.len());
        assert!(screen.iter().all(|line| line.chars().count() <= 41));
        let serial = lines(&text[..71], true);
        assert!(serial.iter().all(|line| line.is_ascii() && line.len() == 2 * serial.len()));
        assert!(lines(&"x".repeat(4000), false).is_empty());
    }

    #[test]
    fn both_forms_show_the_same_modules() {
        let (screen, serial) = (lines("LANDFALL", false), lines("LANDFALL", true));
        for (y, line) in serial.iter().enumerate() {
            for (x, drawn) in screen[y / 2].chars().enumerate() {
                let light = line[2 * x..].starts_with('#');
                let expected = if y % 2 == 0 { "█▀" } else { "█▄" };
                assert_eq!(expected.contains(drawn), light, "{x} {y}");
            }
        }
        // The finder pattern of the upper left: a dark ring of seven modules (ISO/IEC 18004).
        assert!(serial[4].starts_with("########              ##"), "{}", serial[4]);
    }
}
