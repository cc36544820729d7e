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
