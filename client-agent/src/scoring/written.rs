//! An answer and its JSON, which is written once: the journal keeps the text before the latency is
//! known, and whoever asked is told the same text with the latency in it, whichever way it came.
//! That the latency stands last in the text is known here alone; what an answer says, `answer.rs`
//! has.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;

/// An answer on its way to whoever asked.
#[derive(Debug)]
pub(crate) struct Written {
    /// Who reads the journal along has it too.
    answer: Arc<Answer>,
    /// Its JSON, before its latency was known.
    text: String,
    latency_us: u64,
}

impl Written {
    /// The JSON of an answer whose latency is not known yet, as the journal keeps it.
    pub(super) fn text_of(answer: &Answer) -> String {
        serde_json::to_string(answer).expect("an answer has text keys and plain values")
    }

    /// An answer and what [`Self::text_of`] made of it.
    pub(super) fn new(answer: Arc<Answer>, text: String) -> Self {
        Self {
            answer,
            text,
            latency_us: 0,
        }
    }

    /// An answer that the journal does not keep, or not in this form.
    pub(super) fn of(answer: Answer) -> Self {
        let answer = Answer {
            latency_us: 0,
            ..answer
        };
        let text = Self::text_of(&answer);
        Self::new(Arc::new(answer), text)
    }

    /// The same, given after so long.
    pub(super) fn after(self, latency: Duration) -> Self {
        Self {
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            ..self
        }
    }

    /// The answer before its latency was known.
    pub(crate) fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The answer as it is told.
    pub(super) fn into_answer(self) -> Answer {
        Answer {
            latency_us: self.latency_us,
            ..Arc::unwrap_or_clone(self.answer)
        }
    }

    /// Its JSON as it is told.
    pub(crate) fn into_json(self) -> Vec<u8> {
        let mut text = self.text;
        let head = text.strip_suffix(UNTIMED).map(str::len);
        text.truncate(head.expect("an answer ends with its latency, 0 until it is told"));
        text.push_str(LATENCY);
        text.push_str(&self.latency_us.to_string());
        text.push('}');
        text.into_bytes()
    }
}

/// How the text of every answer begins to end.
const LATENCY: &str = "\"latency_us\":";

/// How it ends while its latency is not known.
const UNTIMED: &str = "\"latency_us\":0}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scoring::tests::answers;

    proptest! {
        // Every word of every vocabulary is among them.
        #[test]
        fn the_text_that_is_told_is_that_of_the_whole_answer(
            answer in answers::answer(),
            micros in prop_oneof![Just(0_u64), Just(u64::MAX), any::<u64>()],
        ) {
            let whole = Answer { latency_us: micros, ..answer.clone() };
            let text = serde_json::to_vec(&whole).unwrap();
            let latency = Duration::from_micros(micros);
            let told = Written::of(answer.clone()).after(latency);
            prop_assert_eq!(told.into_json(), text.clone());

            let kept = Answer { latency_us: 0, ..answer };
            let journaled = Written::text_of(&kept);
            prop_assert_eq!(serde_json::to_string(&kept).unwrap(), journaled.clone());
            let kept = Arc::new(kept);
            let told = || Written::new(kept.clone(), journaled.clone()).after(latency);
            prop_assert_eq!(told().into_json(), text);
            prop_assert_eq!(told().into_answer(), whole);
        }
    }
}
