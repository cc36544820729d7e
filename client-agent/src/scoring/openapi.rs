//! `GET /openapi.json`: the HTTP door described for machines. Routes bring their descriptions along
//! (`routes.rs`), schemas are those of the types that are read and written. What is read by hand is
//! described by the table or the bounds that read it: payments in `openapi/payment.rs`, labels in
//! `openapi/label.rs`, what analysts say in `alerts/said.rs`. Here is what holds for all. Doc
//! comments of what derives `ToSchema`, here and in `history.rs`, `risk.rs`, `status.rs` and
//! `journal/tally.rs`, are published text.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::Value;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, PathItem};
use utoipa::openapi::schema::{
    KnownFormat, ObjectBuilder, OneOfBuilder, RefBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::tokens::OPEN;

pub(super) use label::{LabelAnswers, LabelsBody};

mod label;
mod payment;

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(super) async fn handle_openapi(State(document): State<Bytes>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document)
}

/// What a description begins with: all but the routes of `scoring`, which bring their own.
pub(super) fn begun() -> OpenApi {
    let mut begun = <Agent as utoipa::OpenApi>::openapi();
    for route in OF_HOST {
        let mut operation = OperationBuilder::new()
            .operation_id(Some(route.id))
            .summary(Some(route.summary));
        for (status, meaning) in route.answers {
            let content = ContentBuilder::new().schema(Some(String::schema()));
            let response = ResponseBuilder::new().description(*meaning);
            let response = response.content(route.kind, content.build());
            operation = operation.response(*status, response);
        }
        let item = PathItem::new(HttpMethod::Get, operation);
        begun.paths.paths.insert(route.path.to_owned(), item);
    }
    begun
}

/// The text of a whole description.
pub(super) fn written(mut described: OpenApi) -> String {
    for (path, item) in &mut described.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
        }
    }
    require_what_is_written(&mut described);
    let text = described.to_pretty_json();
    unbroken(&text.expect("a description is plain JSON"))
}

/// What a path takes, whatever the method.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let named = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
        &mut item.query,
    ];
    let others = item.additional_operations.values_mut();
    named.into_iter().flatten().chain(others)
}

/// The same JSON with each description in one line: comments are broken at a hundred columns. As a
/// `Value` it would lose the order of routes and fields.
fn unbroken(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let member = line.trim_start();
        if !DESCRIPTIONS.iter().any(|name| member.starts_with(name)) {
            return line.to_owned();
        }
        // Behind a backslash that stands for itself an n is one.
        let pieces = line.split(r"\\").map(|piece| piece.replace(r"\n", " "));
        pieces.collect::<Vec<_>>().join(r"\\")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// How a line of pretty JSON begins that describes something.
const DESCRIPTIONS: [&str; 2] = [r#""description": ""#, r#""summary": ""#];

/// Adds to an operation what holds for all: who may ask, and that a refusal without a form of its
/// own is a problem document, as `Problem` writes it.
fn complete(path: &str, operation: &mut Operation) {
    operation.tags = None;
    if OPEN.contains(&path) {
        let certificate = SecurityRequirement::new("certificate", [] as [&str; 0]);
        operation.security = Some(vec![SecurityRequirement::default(), certificate]);
    } else {
        let refusal =
            Response::new("`unauthorized`: no token that is known, where one is asked for.");
        let responses = &mut operation.responses.responses;
        responses.insert("401".to_owned(), refusal.into());
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if !status.starts_with(['4', '5']) || !response.content.is_empty() {
            continue;
        }
        let problem = ContentBuilder::new().schema(Some(reference::<Problem>()));
        let kind = "application/problem+json".to_owned();
        response.content.insert(kind, problem.build().into());
        let (name, meaning, kind) = match status.as_str() {
            "401" => (
                "WWW-Authenticate",
                "`Bearer`, and in a line of its own `Basic`.",
                Type::String,
            ),
            "503" => ("Retry-After", "Seconds.", Type::Integer),
            _ => continue,
        };
        let header = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind)));
        let header = header.description(Some(meaning)).build();
        response.headers.insert(name.to_owned(), header.into());
    }
}

/// What may be null in an answer is there, as null: only what a request brings may be left out.
fn require_what_is_written(described: &mut OpenApi) {
    let plain = "a description is plain JSON";
    let mut answered = BTreeSet::new();
    let schemas = &mut described.components.get_or_insert_default().schemas;
    let all = serde_json::to_value(&*schemas).expect(plain);
    for item in described.paths.paths.values_mut() {
        for operation in operations(item) {
            let answers = serde_json::to_value(&operation.responses).expect(plain);
            follow(&answers, &all, &mut answered);
        }
    }
    for name in answered {
        schemas.get_mut(&name).into_iter().for_each(require);
    }
}

/// Requires what may be null, in each part of a schema that is put together.
fn require(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            let nullable = object.properties.iter().filter(|(_, of)| admits_null(of));
            let nullable: Vec<_> = nullable.map(|(name, _)| name.clone()).collect();
            object.required.extend(nullable);
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(require),
        RefOr::T(_) | RefOr::Ref(_) => {}
    }
}

/// Collects the names of the schemas that `told` leads to.
fn follow(told: &Value, schemas: &Value, names: &mut BTreeSet<String>) {
    match told {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|place| place.rsplit('/').next())
                && names.insert(name.to_owned())
            {
                follow(&schemas[name], schemas, names);
            }
            members
                .values()
                .for_each(|member| follow(member, schemas, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| follow(part, schemas, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn admits_null(schema: &RefOr<Schema>) -> bool {
    let is_null = |kind: &SchemaType| match kind {
        SchemaType::Type(kind) => *kind == Type::Null,
        SchemaType::Array(kinds) => kinds.contains(&Type::Null),
        SchemaType::AnyValue => false,
    };
    match schema {
        RefOr::T(Schema::Object(object)) => is_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => is_null(&array.schema_type),
        RefOr::T(Schema::OneOf(choice)) => choice.items.iter().any(admits_null),
        RefOr::T(_) | RefOr::Ref(_) => false,
    }
}

/// A time that is sent.
pub(super) struct Time;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let date_time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        OneOfBuilder::new()
            .description(Some("Milliseconds since 1970-01-01 UTC, or RFC 3339."))
            .item(ObjectBuilder::new().schema_type(Type::Integer))
            .item(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .format(Some(date_time)),
            )
            .into()
    }
}

impl ToSchema for Time {}

/// A text of so many bytes.
pub(super) fn text(bytes: RangeInclusive<usize>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(*bytes.start()).filter(|least| *least > 0))
        .max_length(Some(*bytes.end()))
}

/// A whole number.
pub(super) fn whole(range: RangeInclusive<u64>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(*range.start()))
        .maximum(Some(*range.end()))
}

/// One of these words.
pub(super) fn words<'a>(listed: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.enum_values(Some(listed))
}

/// A schema by its name.
pub(super) fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// The same, with a meaning of its own.
pub(super) fn meaning<T: ToSchema>(meaning: &str) -> RefBuilder {
    let place = RefBuilder::new().ref_location_from_schema_name(T::name());
    place.description(Some(meaning))
}

/// A schema under its name, and those it leads to.
pub(super) fn named<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Phalanx agent",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        description = "The HTTP door of a bank's agent. Who may ask is the bank's configuration: a \
            token of its file, a client certificate of its CA, both, or on loopback everybody on \
            the machine. `/livez` and `/readyz` need no token."
    ),
    paths(handle_openapi),
    security(
        ("token" = []),
        ("password" = []),
        ("certificate" = []),
        ("token" = [], "certificate" = []),
        ("password" = [], "certificate" = []),
        (),
    ),
    modifiers(&Agent),
)]
struct Agent;

impl utoipa::Modify for Agent {
    fn modify(&self, described: &mut OpenApi) {
        let shown = |scheme, meaning| {
            let scheme = HttpBuilder::new().scheme(scheme).description(Some(meaning));
            SecurityScheme::Http(scheme.build())
        };
        let token = "A token of the file that the bank names as `bearer_token`.";
        let password = "For browsers: any user name, and such a token as the password.";
        let certificate = "A certificate of the CA that the bank names as `client_ca`.";
        let parts = described.components.get_or_insert_default();
        let mut schemas = Vec::new();
        named::<Problem>(&mut schemas);
        parts.schemas.extend(schemas);
        parts.add_security_scheme("token", shown(HttpAuthScheme::Bearer, token));
        parts.add_security_scheme("password", shown(HttpAuthScheme::Basic, password));
        let certificate = SecurityScheme::MutualTls {
            description: Some(certificate.to_owned()),
            deprecated: None,
            extensions: None,
        };
        parts.add_security_scheme("certificate", certificate);
    }
}

/// A route of `host::telemetry`, which tells plain text.
struct HostRoute {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    kind: &'static str,
    /// Statuses, and what each means.
    answers: &'static [(&'static str, &'static str)],
}

const OF_HOST: [HostRoute; 3] = [
    HostRoute {
        path: "/livez",
        id: "live",
        summary: "Whether the process lives.",
        kind: "text/plain",
        answers: &[("200", "It does.")],
    },
    HostRoute {
        path: "/readyz",
        id: "ready",
        summary: "Whether scoring is up, with the models of earlier runs, and its disk takes what \
                  is decided.",
        kind: "text/plain",
        answers: &[("200", "It is."), ("503", "It is not.")],
    },
    HostRoute {
        path: "/metrics",
        id: "metrics",
        summary: "Metrics for Prometheus.",
        kind: "application/openmetrics-text",
        answers: &[("200", "The metrics.")],
    },
];

/// What a question hears while scoring is not up to it.
pub(super) const SCORING_BUSY: &str =
    "`overloaded`, `not_ready` or `unavailable`: ask again, or decide alone.";

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::openapi::schema::AllOfBuilder;

    use super::*;

    #[test]
    fn what_may_be_null_is_required_beside_what_is_flattened_too() {
        let nullable = SchemaType::from_iter([Type::String, Type::Null]);
        let own = ObjectBuilder::new().schema_type(nullable);
        let own = ObjectBuilder::new().property("note", own);
        let whole = AllOfBuilder::new().item(reference::<Problem>()).item(own);
        let mut schema = RefOr::from(whole);
        require(&mut schema);
        let described = serde_json::to_value(&schema).unwrap();
        assert_eq!(described["allOf"][1]["required"], json!(["note"]));
    }

    #[test]
    fn a_description_is_one_line_and_what_else_is_told_keeps_its_own() {
        let told = json!({"description": "one\ntwo \\n", "note": "one\ntwo"});
        let read: Value = serde_json::from_str(&unbroken(&format!("{told:#}"))).unwrap();
        let expected = json!({"description": "one two \\n", "note": "one\ntwo"});
        assert_eq!(read, expected);
    }
}
