//! `/init` of medium and machine.

fn main() {
    landfall_installer::run::pid1();
}
