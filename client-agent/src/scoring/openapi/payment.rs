//! A payment, described by the table in `features` by which the door reads it, and the request that
//! carries it.

use std::borrow::Cow;

use features::{FIELDS, Field, Form};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{named, reference, text, words};
use crate::scoring::request::{BODY_BYTES_MAX, FORM, Purpose, Request};
use crate::scoring::times::AHEAD_MAX;

impl PartialSchema for Request {
    fn schema() -> RefOr<Schema> {
        let purpose = words(Purpose::ALL.map(Purpose::word));
        let purpose = purpose.description(Some(
            "`authorise`, also where missing: the bank waits for the decision. `advice`: it was \
             decided elsewhere, and is told so that later payments are judged by it. `whatif`: a \
             question that leaves no trace.",
        ));
        let form = words([FORM]).description(Some("The form of `txn`."));
        let most = BODY_BYTES_MAX >> 10;
        ObjectBuilder::new()
            .description(Some(format!("One payment to judge, at most {most} KiB.")))
            .property("txn", reference::<Payment>())
            .required("txn")
            .property("purpose", or_null(purpose.build()))
            .property("schema", or_null(form.build()))
            .into()
    }
}

impl ToSchema for Request {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        named::<Payment>(schemas);
    }
}

/// A payment as it is sent.
struct Payment;

impl PartialSchema for Payment {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new().description(Some(
            "A payment, `txn.v1`. Lengths count bytes of UTF-8. A null is a missing field; a field \
             that is not listed is ignored and counted in `unknown_fields`. A value that may be a \
             card number (13 to 19 digits that pass the Luhn check), in whatever field, and a \
             field named for one, for a verification value, a track or a PIN, are refused as \
             `pan_detected`.",
        ));
        let object = FIELDS.iter().fold(object, |object, field| {
            let schema = described(field);
            match field.is_required {
                true => object.property(field.name, schema).required(field.name),
                false => object.property(field.name, or_null(schema)),
            }
        });
        object.into()
    }
}

impl ToSchema for Payment {
    fn name() -> Cow<'static, str> {
        "Transaction".into()
    }
}

/// The same, and null.
fn or_null(mut object: Object) -> Object {
    if let Some(words) = &mut object.enum_values {
        words.push(Value::Null);
    }
    let kinds = match object.schema_type {
        SchemaType::Type(kind) => vec![kind],
        SchemaType::Array(kinds) => kinds,
        SchemaType::AnyValue => Vec::new(),
    };
    object.schema_type = kinds.into_iter().chain([Type::Null]).collect();
    object
}

fn described(field: &Field) -> Object {
    let meaning = [field.meaning, &said_of(field.form), &said_here(field.name)];
    let meaning = meaning.into_iter().filter(|said| !said.is_empty());
    let meaning = meaning.collect::<Vec<_>>().join(" ");
    taken(field.form).description(Some(meaning)).build()
}

/// What is taken for a form.
fn taken(form: Form) -> ObjectBuilder {
    let any = |kinds: &[Type]| {
        let kinds = SchemaType::from_iter(kinds.iter().cloned());
        ObjectBuilder::new().schema_type(kinds)
    };
    match form {
        Form::Text(bytes_max) => any(&[Type::String, Type::Integer])
            .min_length(Some(1))
            .max_length(Some(bytes_max)),
        Form::Letters(length) => {
            text(length..=length).pattern(Some(format!("^[A-Za-z]{{{length}}}$")))
        }
        Form::Word {
            rest: Some(_),
            bytes_max,
            ..
        } => text(1..=bytes_max),
        Form::Word { listed, .. } => words(listed.iter().copied()),
        Form::Flag => any(&[Type::Boolean, Type::String, Type::Integer]),
        Form::Whole(min, max) => any(&[Type::Integer, Type::String])
            .minimum(Some(min))
            .maximum(Some(max)),
        Form::Time(ms_max) => any(&[Type::String, Type::Integer])
            .minimum(Some(0))
            .maximum(Some(ms_max)),
        Form::Day(min, max) => any(&[Type::String, Type::Integer])
            .minimum(Some(min))
            .maximum(Some(max)),
        Form::Degrees(max) => any(&[Type::Number, Type::String])
            .minimum(Some(-max))
            .maximum(Some(max)),
        Form::Extras {
            count_max,
            name_bytes_max,
            text_bytes_max,
        } => {
            let value = any(&[Type::Number, Type::String, Type::Null]);
            let name = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
            ObjectBuilder::new()
                .max_properties(Some(count_max))
                .property_names(Some(name.max_length(Some(name_bytes_max))))
                .additional_properties(Some(value.max_length(Some(text_bytes_max))))
        }
    }
}

/// What of a form its schema does not say.
fn said_of(form: Form) -> String {
    match form {
        Form::Text(_) | Form::Letters(_) | Form::Degrees(_) | Form::Extras { .. } => String::new(),
        Form::Word { listed, rest, .. } => {
            let one = format!("One of `{}`.", listed.join("`, `"));
            match rest {
                Some(rest) => format!("{one} Another word counts as `{rest}`."),
                None => one,
            }
        }
        Form::Flag => "`true`, `1`, `y` or `yes`; `false`, `0`, `n` or `no`.".to_owned(),
        Form::Whole(..) => "A text of digits is read too.".to_owned(),
        Form::Time(_) => "RFC 3339 text is read too.".to_owned(),
        Form::Day(..) => "`YYYY-MM-DD` is read too.".to_owned(),
    }
}

/// What only whoever asks the agent has to know of a field.
fn said_here(name: &str) -> String {
    match name {
        "txn_id" => "A retry under the same id gets the stored answer.".to_owned(),
        "ts" => format!(
            "At most {} minutes ahead of the agent's clock, or as the bank configured, and at most \
             a day older than the newest payment, likewise.",
            AHEAD_MAX.as_secs() / 60
        ),
        _ => String::new(),
    }
}
