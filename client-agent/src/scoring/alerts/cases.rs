//! Confirmed cases of this bank, and which of them are nearest to a payment, as the live model's
//! encoder sees it. Cases are labelled payments of the journal; where they lie is computed once for
//! each model, when somebody first asks.

use std::collections::VecDeque;

/// The cases confirmed last, in that order.
pub(super) struct Cases {
    cases: VecDeque<Case>,
    most: usize,
}

struct Case {
    /// Number of the payment in the journal.
    sequence: u64,
    fraud: bool,
    lies: Lies,
}

/// Where a case lies.
enum Lies {
    /// Nobody asked.
    Unasked,
    /// Nowhere: its vector is of another schema, or gone.
    Nowhere,
    /// At this representation.
    At(Vec<f32>),
}

/// A case, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub(super) sequence: u64,
    pub(super) fraud: bool,
    /// Euclidean, in the encoder's representation.
    pub(super) distance: f32,
}

impl Cases {
    pub(super) fn new(most: usize) -> Self {
        Self {
            cases: VecDeque::new(),
            most,
        }
    }

    /// A payment turned out to be fraud, or genuine. The last word counts.
    pub(super) fn take(&mut self, sequence: u64, fraud: bool) {
        let known = self.cases.iter().position(|case| case.sequence == sequence);
        let lies = known.and_then(|at| self.cases.remove(at));
        self.cases.push_back(Case {
            sequence,
            fraud,
            lies: lies.map_or(Lies::Unasked, |case| case.lies),
        });
        if self.cases.len() > self.most {
            self.cases.pop_front();
        }
    }

    /// Another model sees them elsewhere.
    pub(super) fn move_away(&mut self) {
        for case in &mut self.cases {
            case.lies = Lies::Unasked;
        }
    }

    /// The nearest cases to the payment `sequence`, which lies at `z`; the payment itself is none.
    /// `place` says where a case lies.
    pub(super) fn nearest(
        &mut self,
        (sequence, z): (u64, &[f32]),
        count: usize,
        mut place: impl FnMut(u64) -> Option<Vec<f32>>,
    ) -> Vec<Near> {
        let others = self
            .cases
            .iter_mut()
            .filter(|case| case.sequence != sequence);
        let near = others.filter_map(|case| {
            if let Lies::Unasked = case.lies {
                case.lies = place(case.sequence).map_or(Lies::Nowhere, Lies::At);
            }
            let Lies::At(there) = &case.lies else {
                return None;
            };
            Some(Near {
                sequence: case.sequence,
                fraud: case.fraud,
                distance: distance(z, there)?,
            })
        });
        let mut near: Vec<Near> = near.collect();
        near.sort_by(|one, other| one.distance.total_cmp(&other.distance));
        near.truncate(count);
        near
    }
}

/// Nothing where the two are no points of one space.
fn distance(one: &[f32], other: &[f32]) -> Option<f32> {
    let squares = one.iter().zip(other).map(|(a, b)| (a - b) * (a - b));
    let distance = squares.sum::<f32>().sqrt();
    (one.len() == other.len() && distance.is_finite()).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(cases: &mut Cases, asked: &mut Vec<u64>) -> Vec<(u64, bool, f32)> {
        let place = |sequence: u64| {
            asked.push(sequence);
            // One is of another schema, one is no number.
            match sequence {
                7 => None,
                8 => Some(vec![f32::NAN, 0.0]),
                9 => Some(vec![0.0]),
                _ => Some(vec![sequence as f32, 0.0]),
            }
        };
        let found = cases.nearest((3, &[3.0, 4.0]), 2, place);
        let told = found.into_iter();
        told.map(|near| (near.sequence, near.fraud, near.distance))
            .collect()
    }

    #[test]
    fn the_nearest_come_first_and_are_placed_once_for_each_model() {
        let (mut cases, mut asked) = (Cases::new(10), Vec::new());
        for sequence in [0, 3, 6, 7, 8, 9, 20] {
            cases.take(sequence, sequence % 2 == 0);
        }
        let expected = [(0, true, 5.0), (6, true, 5.0)];
        assert_eq!(near(&mut cases, &mut asked), expected);
        assert_eq!(asked, [0, 6, 7, 8, 9, 20]);
        cases.take(6, false);
        let expected = [(0, true, 5.0), (6, false, 5.0)];
        assert_eq!(near(&mut cases, &mut asked), expected);
        assert_eq!(asked.len(), 6);
        cases.move_away();
        near(&mut cases, &mut asked);
        assert_eq!(asked.len(), 12);
    }

    #[test]
    fn the_cases_confirmed_first_go_first() {
        let (mut cases, mut asked) = (Cases::new(3), Vec::new());
        for sequence in [4, 5, 4, 6, 7] {
            cases.take(sequence, true);
        }
        near(&mut cases, &mut asked);
        assert_eq!(asked, [4, 6, 7]);
    }
}
