//! A label as it is sent, described by what reads it.

use std::borrow::Cow;

use features::{Label, Transaction};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{Time, meaning, named, reference, text};
use crate::scoring::labels::{Item, LABELS_MAX, LabelAnswer};

impl PartialSchema for Item {
    fn schema() -> RefOr<Schema> {
        let txn_id = text(1..=Transaction::ID_BYTES_MAX);
        let known_at = meaning::<Time>(
            "Since when it is known: the time of arrival, and later than every label before, where \
             it is left out: told again after a correction the label undoes it, so a retry needs \
             it. By NATS, the time at which the stream took the message.",
        );
        let event_at = meaning::<Time>(
            "When that happened of which the label speaks: a theft, a takeover; the payment's own \
             time where it is left out. Not after `known_at`, and at most 366 days before the \
             payment.",
        );
        let source = text(1..=Label::SOURCE_BYTES_MAX);
        let source = source.description(Some("Who says so: chargeback, analyst, customer."));
        let supersedes = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[0-9A-Fa-f]{64}$"))
            .description(Some(
                "The label of the same payment that it takes the place of.",
            ));
        ObjectBuilder::new()
            .description(Some(
                "What a payment turned out to be, and since when that is known. A label supersedes \
                 those of the same payment that were known earlier.",
            ))
            .property("txn_id", txn_id.description(Some("A payment scored here.")))
            .required("txn_id")
            .property("fraud", bool::schema())
            .required("fraud")
            .property("known_at", known_at)
            .property("event_at", event_at)
            .property("source", source)
            .required("source")
            .property("supersedes", supersedes)
            .into()
    }
}

impl ToSchema for Item {
    fn name() -> Cow<'static, str> {
        "Label".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Time>(schemas);
    }
}

/// Labels as they are sent.
pub(in crate::scoring) struct LabelsBody;

impl PartialSchema for LabelsBody {
    fn schema() -> RefOr<Schema> {
        one_or_many::<Item>()
    }
}

impl ToSchema for LabelsBody {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Item>(schemas);
    }
}

/// What became of them.
pub(in crate::scoring) struct LabelAnswers;

impl PartialSchema for LabelAnswers {
    fn schema() -> RefOr<Schema> {
        one_or_many::<LabelAnswer>()
    }
}

impl ToSchema for LabelAnswers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<LabelAnswer>(schemas);
    }
}

/// One alone, or a list as long as one of labels may be.
fn one_or_many<T: ToSchema>() -> RefOr<Schema> {
    let many = ArrayBuilder::new()
        .items(reference::<T>())
        .min_items(Some(1))
        .max_items(Some(LABELS_MAX));
    OneOfBuilder::new().item(reference::<T>()).item(many).into()
}
