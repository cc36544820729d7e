//! What analysts say, described by the bounds that read it (`act.rs`): as JSON, and as the forms of
//! the pages.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::act::{ANALYST_BYTES_MAX, Disposition, HOUR_MS, NOTE_BYTES_MAX, SNOOZE_MS_MAX, Snooze};
use super::alert::Verdict;
use crate::scoring::openapi::{Time, meaning, named, reference, text, whole};

impl PartialSchema for Disposition {
    fn schema() -> RefOr<Schema> {
        let meaning = "Of fraud or genuine: since when it is known; from now on without it.";
        let known_at = OneOfBuilder::new()
            .item(reference::<Time>())
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .description(Some(meaning));
        ObjectBuilder::new()
            .description(Some("What an analyst says of an alert."))
            .property("verdict", reference::<Verdict>())
            .required("verdict")
            .property("analyst", text(1..=ANALYST_BYTES_MAX))
            .required("analyst")
            .property("note", or_null(text(0..=NOTE_BYTES_MAX)))
            .property("known_at", known_at)
            .into()
    }
}

impl ToSchema for Disposition {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Verdict>(schemas);
        named::<Time>(schemas);
    }
}

impl PartialSchema for Snooze {
    fn schema() -> RefOr<Schema> {
        let until = format!("Within the next {} days.", SNOOZE_MS_MAX / HOUR_MS / 24);
        ObjectBuilder::new()
            .description(Some("Until when an alert shall not be seen."))
            .property("until", meaning::<Time>(&until))
            .required("until")
            .property("analyst", or_null(text(0..=ANALYST_BYTES_MAX)))
            .property("note", or_null(text(0..=NOTE_BYTES_MAX)))
            .into()
    }
}

impl ToSchema for Snooze {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Time>(schemas);
    }
}

/// A text that may be null.
fn or_null(text: ObjectBuilder) -> ObjectBuilder {
    text.schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// The form of a verdict.
pub(super) struct DispositionForm;

impl PartialSchema for DispositionForm {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .property("verdict", reference::<Verdict>())
            .required("verdict")
            .property("analyst", text(0..=ANALYST_BYTES_MAX))
            .required("analyst")
            .property("note", text(0..=NOTE_BYTES_MAX))
            .into()
    }
}

impl ToSchema for DispositionForm {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Verdict>(schemas);
    }
}

/// The form that puts an alert off.
pub(super) struct SnoozeForm;

impl PartialSchema for SnoozeForm {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .property("hours", whole(1..=SNOOZE_MS_MAX / HOUR_MS))
            .required("hours")
            .property("analyst", text(0..=ANALYST_BYTES_MAX))
            .property("note", text(0..=NOTE_BYTES_MAX))
            .into()
    }
}

impl ToSchema for SnoozeForm {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scoring::problem::Problem;

    const NOW_MS: u64 = 1_772_000_000_000;

    // What is no text is refused by the name of who reads it; a time by the label that it becomes,
    // or where the verdict is none.
    #[test]
    fn what_analysts_say_is_described_as_it_is_read() {
        let disposed = json!({"verdict": "unknown", "analyst": "u-17"});
        let read = |words: &Value| Disposition::read(words.as_object().unwrap()).err();
        are_read(&Disposition::schema(), &disposed, read);
        let snoozed = json!({"until": NOW_MS + 1});
        let read = |words: &Value| Snooze::read(NOW_MS, words.as_object().unwrap()).err();
        are_read(&Snooze::schema(), &snoozed, read);
    }

    fn are_read(schema: &RefOr<Schema>, least: &Value, read: impl Fn(&Value) -> Option<Problem>) {
        let described = serde_json::to_value(schema).unwrap();
        let with = |name: &str, value: Value| {
            let mut words = least.clone();
            words[name] = value;
            read(&words)
        };
        assert!(read(least).is_none());
        for (name, field) in described["properties"].as_object().unwrap() {
            let refused = with(name, json!([])).and_then(|problem| problem.field);
            assert_eq!(refused.as_ref(), Some(name));
            let required = described["required"].as_array().unwrap();
            let is_required = required.contains(&json!(name));
            assert_eq!(with(name, Value::Null).is_some(), is_required, "{name}");
            if let Some(most) = field["maxLength"].as_u64() {
                let text = |length| json!("x".repeat(length));
                let most = usize::try_from(most).unwrap();
                assert!(with(name, text(most)).is_none(), "{name}");
                assert!(with(name, text(most + 1)).is_some(), "{name}");
                assert_eq!(
                    with(name, text(0)).is_some(),
                    field["minLength"] == 1,
                    "{name}"
                );
            }
        }
    }
}
