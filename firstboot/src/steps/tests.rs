//! The loop: order, back-off, what is said and what is recorded.

use super::*;
use crate::console::fake::Lines;
use crate::secrets::store::fake::Folder;
use crate::tools::fake::FakeCommands;
use std::cell::{Cell, RefCell};

#[derive(Default)]
struct Hands {
    now: Cell<Duration>,
    slept: RefCell<Vec<u64>>,
}

impl Timer for Hands {
    fn elapsed(&self) -> Duration {
        self.now.get()
    }

    fn sleep(&self, time: Duration) {
        self.slept.borrow_mut().push(time.as_secs());
        self.now.set(self.now.get() + time);
    }
}

fn done(_: &Context) -> Result<Outcome> {
    Ok(Outcome::Done("there".into()))
}

fn late(context: &Context) -> Result<Outcome> {
    if context.timer.elapsed() < Duration::from_secs(20) {
        return Ok(Outcome::Pending("coming".into()));
    }
    done(context)
}

fn needs_a_person(context: &Context) -> Result<Outcome> {
    if context.timer.elapsed() < Duration::from_secs(1000) {
        return Ok(Outcome::Waiting("waiting for an auth key".into()));
    }
    done(context)
}

fn breaks(context: &Context) -> Result<Outcome> {
    if context.timer.elapsed() < Duration::from_secs(300) {
        return Err(crate::error::Error::Refused("broken".into()));
    }
    done(context)
}

fn step(name: &'static str, attempt: fn(&Context) -> Result<Outcome>) -> Step {
    Step { name, background: false, attempt }
}

fn play(steps: &[Step]) -> (Vec<String>, Hands, Record) {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots::under(dir.path());
    std::fs::create_dir_all(roots.state("")).unwrap();
    let (lines, hands) = (Lines::default(), Hands::default());
    run(
        &Context {
            roots: &roots,
            machine: &Machine::default(),
            commands: &FakeCommands::default(),
            store: &Folder(roots.run("s")),
            console: &lines,
            timer: &hands,
        },
        steps,
    )
    .unwrap();
    let record = Record::load(&roots);
    (lines.0.into_inner(), hands, record)
}

#[test]
fn done_is_said_once_after_all_steps() {
    let (lines, _, record) = play(&[step("a", done), step("b", late)]);
    assert_eq!(
        lines,
        [
            "LANDFALL STEP name=a state=done detail=there",
            "LANDFALL STEP name=b state=pending detail=coming",
            "LANDFALL STEP name=b state=done detail=there",
            "LANDFALL FIRSTBOOT done",
        ]
    );
    assert!(record.steps.iter().all(|step| step.state == State::Done));
}

#[test]
fn what_waits_for_a_person_holds_nothing_up() {
    let (lines, hands, _) = play(&[step("tailnet", needs_a_person), step("homes", done)]);
    let done = lines.iter().position(|line| line == "LANDFALL FIRSTBOOT done").unwrap();
    assert_eq!(lines[done - 1], "LANDFALL FIRSTBOOT waiting=tailnet");
    assert!(lines[..done].iter().any(|line| line.contains("name=homes state=done")));
    let slept = hands.slept.borrow();
    assert!(slept.windows(2).all(|pair| pair[0] <= pair[1]), "{slept:?}");
    assert!(slept.len() < 20, "{slept:?}");
}

#[test]
fn a_step_that_fails_is_tried_again_and_told_after_a_while() {
    let (lines, _, record) = play(&[step("x", breaks)]);
    assert!(lines.contains(&"LANDFALL FIRSTBOOT waiting=x".into()));
    assert_eq!(lines.last().unwrap(), "LANDFALL STEP name=x state=done detail=there");
    assert!(record.steps[0].attempts > 3);
}

fn never(_: &Context) -> Result<Outcome> {
    Ok(Outcome::Pending("coming".into()))
}

#[test]
fn patience_ends_on_time_and_then_it_is_looked_for_seldom() {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots::under(dir.path());
    std::fs::create_dir_all(roots.state("")).unwrap();
    let hands = Hands::default();
    struct Until<'a>(&'a Hands, RefCell<Vec<u64>>);
    impl Console for Until<'_> {
        fn line(&self, text: &str) {
            if text == "LANDFALL FIRSTBOOT done" {
                self.1.borrow_mut().push(self.0.now.get().as_secs());
            }
        }
    }
    // The second step ends the run, long after the first was given up on.
    fn end(context: &Context) -> Result<Outcome> {
        if context.timer.elapsed() > Duration::from_secs(4000) {
            // Only so that the loop ends: the state on the disk is gone.
            std::fs::remove_dir_all(context.roots.state("")).unwrap();
        }
        never(context)
    }
    let console = Until(&hands, RefCell::default());
    let context = Context {
        roots: &roots,
        machine: &Machine::default(),
        commands: &FakeCommands::default(),
        store: &Folder(roots.run("s")),
        console: &console,
        timer: &hands,
    };
    assert!(run(&context, &[step("a", never), step("b", end)]).is_err());
    assert_eq!(*console.1.borrow(), [180]);
    let late = hands.slept.borrow().iter().filter(|slept| **slept > 100).count();
    assert!(late > 5 && hands.slept.borrow().len() < 250);
}
