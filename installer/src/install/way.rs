//! The way through the questions of an installation: which step comes next, and where one step
//! back leads. It knows nothing of what is asked.

/// What is settled before the first write, in this order: each step may build on those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Which host this machine becomes.
    Host,
    /// Which of the host's generations, where its hardware decides.
    Profile,
    /// Every byte of the medium that this host needs.
    Medium,
    /// Which disk, and what it holds.
    Disk,
    /// What stays of it, and the key that opens that.
    State,
    /// The passphrase of the host's identity.
    Identity,
    /// The keys of a disk that is to be encrypted.
    Keys,
    /// The summary, and a typed confirmation.
    Confirm,
}

/// The order. A person can go back from any question to the one before, up to the last.
pub const ORDER: &[Step] = &[
    Step::Host,
    Step::Profile,
    Step::Medium,
    Step::Disk,
    Step::State,
    Step::Identity,
    Step::Keys,
    Step::Confirm,
];

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// There was nothing to ask.
    Silent,
    /// A person answered.
    Answered,
    /// A person wants the question before.
    Back,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Take(Step),
    /// Back from the first question: out of the installation.
    Leave,
    /// Everything is settled.
    Settled,
}

/// Where the dialogue stands.
#[derive(Debug, Default)]
pub struct Way {
    at: usize,
    /// Steps before `at` that asked something: the only ones that going back stops at, for one
    /// that is silent would lead forward again at once.
    asked: Vec<usize>,
}

impl Way {
    /// The step to take now.
    pub fn now(&self) -> Next {
        ORDER.get(self.at).map_or(Next::Settled, |step| Next::Take(*step))
    }

    /// Moves on from the step that was taken now.
    pub fn went(&mut self, went: Went) -> Next {
        match went {
            Went::Silent => self.at += 1,
            Went::Answered => {
                self.asked.push(self.at);
                self.at += 1;
            }
            Went::Back => match self.asked.pop() {
                Some(before) => self.at = before,
                None => return Next::Leave,
            },
        }
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks with one answer per step taken; gives the steps, and how it ended.
    fn walk(answers: &[Went]) -> (Vec<Step>, Next) {
        let mut way = Way::default();
        let mut taken = Vec::new();
        let mut next = way.now();
        for answer in answers {
            let Next::Take(step) = next else { break };
            taken.push(step);
            next = way.went(*answer);
        }
        (taken, next)
    }

    #[test]
    fn with_nothing_to_ask_every_step_is_taken_once() {
        assert_eq!(walk(&[Went::Silent; ORDER.len()]), (ORDER.to_vec(), Next::Settled));
        assert_eq!(walk(&[Went::Answered; ORDER.len()]), (ORDER.to_vec(), Next::Settled));
    }

    #[test]
    fn back_leads_to_the_question_before_and_passes_silent_steps() {
        use Went::{Answered, Back, Silent};
        // Host asked, profile, medium, disk and state silent, back from the identity: the host again.
        let (taken, next) = walk(&[Answered, Silent, Silent, Silent, Silent, Back]);
        assert_eq!(taken, ORDER[..6]);
        assert_eq!(next, Next::Take(Step::Host));
        // What came after is taken anew.
        let (taken, next) = walk(&[
            Answered, Silent, Silent, Silent, Silent, Back, Answered, Silent, Silent, Answered, Silent,
            Silent, Silent, Back,
        ]);
        assert_eq!(taken[6..], ORDER[..]);
        assert_eq!(next, Next::Take(Step::Disk));
    }

    #[test]
    fn back_from_the_first_question_leaves() {
        use Went::{Answered, Back, Silent};
        assert_eq!(walk(&[Back]), (vec![Step::Host], Next::Leave));
        assert_eq!(walk(&[Silent, Silent, Silent, Silent, Silent, Silent, Back]).1, Next::Leave);
        assert_eq!(walk(&[Answered, Silent, Silent, Silent, Silent, Back, Back]).1, Next::Leave);
    }

    /// From every place that a person can reach, going back often enough leads out, and every
    /// way that never goes back ends settled: nobody is caught.
    #[test]
    fn every_way_ends() {
        const CHOICES: [Went; 3] = [Went::Silent, Went::Answered, Went::Back];
        for number in 0..3usize.pow(10) {
            let answers: Vec<Went> = (0..10u32).map(|at| CHOICES[number / 3usize.pow(at) % 3]).collect();
            let mut way = Way::default();
            let mut next = way.now();
            for answer in &answers {
                match next {
                    Next::Take(_) => next = way.went(*answer),
                    Next::Leave | Next::Settled => break,
                }
            }
            let mut backs = 0;
            while let Next::Take(_) = next {
                next = way.went(Went::Back);
                backs += 1;
                assert!(backs <= ORDER.len() + 1, "{answers:?}");
            }
        }
    }
}
