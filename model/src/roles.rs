//! Which column of a schema plays which part in the network: the encoder's inputs, the field
//! groups that are contrasted, the head's inputs, and the derived columns that follow when a
//! perturbation moves what they are derived from. Only positions live here, no tensors.

use features::{FeatureSchema, FieldGroup, Role};

use crate::error::ModelError;

/// Every field group there can be, in the order of the energies.
const GROUPS: [FieldGroup; 5] = [
    FieldGroup::Amount,
    FieldGroup::Gap,
    FieldGroup::Time,
    FieldGroup::Visit,
    FieldGroup::Category,
];

/// The sizes a layout needs.
pub(crate) struct Counts {
    /// Encoder inputs: event, context and derived columns.
    pub(crate) inputs: u32,
    /// Encoder inputs with a periodic embedding.
    pub(crate) periodic: u32,
    /// Field groups present.
    pub(crate) groups: u32,
    /// Columns that enter the head beside z.
    pub(crate) head: u32,
}

impl Counts {
    pub(crate) fn new(schema: &FeatureSchema) -> Self {
        let inputs = columns(schema, is_input);
        Self {
            periodic: inputs
                .iter()
                .filter(|&&c| is_periodic(&schema.columns[c].role))
                .count() as u32,
            inputs: inputs.len() as u32,
            groups: groups_present(schema).len() as u32,
            head: head_columns(schema).len() as u32,
        }
    }
}

/// The roles of a schema's columns, as column numbers.
pub(crate) struct Roles {
    /// The schema they were read from.
    pub(crate) schema: FeatureSchema,
    /// Column names, for errors.
    pub(crate) names: Vec<String>,
    /// Columns of v: event, then context, then derived.
    pub(crate) inputs: Vec<usize>,
    /// Positions within v that have a periodic embedding.
    pub(crate) periodic: Vec<usize>,
    /// Context columns.
    pub(crate) context: Vec<usize>,
    /// Derived columns.
    derived: Vec<usize>,
    /// Field groups present, with their event columns.
    pub(crate) groups: Vec<(FieldGroup, Vec<usize>)>,
    /// Columns that enter the head after z: derived, event, windows, own risk, shared risk.
    pub(crate) head: Vec<usize>,
}

impl Roles {
    /// Reads the roles of a schema.
    pub(crate) fn new(schema: &FeatureSchema) -> Result<Self, ModelError> {
        let events = columns(schema, |role| matches!(role, Role::Event(_)));
        if events.is_empty() {
            return Err(ModelError::NoEvents);
        }
        let context = columns(schema, |role| matches!(role, Role::Context));
        let inputs = [events, context.clone(), columns(schema, is_derived)].concat();
        check_references(schema, &inputs)?;
        let groups = groups_present(schema).into_iter().map(|group| {
            let own = columns(schema, |role| matches!(role, Role::Event(g) if *g == group));
            (group, own)
        });
        Ok(Self {
            names: schema
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect(),
            periodic: (0..inputs.len())
                .filter(|&at| is_periodic(&schema.columns[inputs[at]].role))
                .collect(),
            groups: groups.collect(),
            head: head_columns(schema),
            schema: schema.clone(),
            inputs,
            derived: columns(schema, is_derived),
            context,
        })
    }

    /// Columns per row.
    pub(crate) fn columns(&self) -> usize {
        self.names.len()
    }

    /// Recomputes the derived columns of a whole row, by the function that first filled them.
    pub(crate) fn derive(&self, row: &mut [f32]) {
        for &column in &self.derived {
            row[column] = self
                .schema
                .derive(column, row)
                .expect("roles were read from columns");
        }
    }

    /// Appends the encoder's input of a whole row.
    pub(crate) fn gather(columns: &[usize], row: &[f32], into: &mut Vec<f32>) {
        into.extend(columns.iter().map(|&column| row[column]));
    }
}

/// One-hot columns have no periodic embedding: on 0 and 1, sine and cosine only repeat the
/// linear term.
fn is_periodic(role: &Role) -> bool {
    !matches!(role, Role::Event(FieldGroup::Category))
}

fn is_input(role: &Role) -> bool {
    matches!(role, Role::Event(_) | Role::Context | Role::Derived { .. })
}

fn is_derived(role: &Role) -> bool {
    matches!(role, Role::Derived { .. })
}

fn columns(schema: &FeatureSchema, test: impl Fn(&Role) -> bool) -> Vec<usize> {
    (0..schema.columns.len())
        .filter(|&column| test(&schema.columns[column].role))
        .collect()
}

fn head_columns(schema: &FeatureSchema) -> Vec<usize> {
    [
        columns(schema, is_derived),
        columns(schema, |role| matches!(role, Role::Event(_))),
        columns(schema, |role| matches!(role, Role::Window)),
        columns(schema, |role| matches!(role, Role::OwnRisk)),
        columns(schema, |role| matches!(role, Role::SharedRisk)),
    ]
    .concat()
}

fn groups_present(schema: &FeatureSchema) -> Vec<FieldGroup> {
    GROUPS
        .into_iter()
        .filter(|group| {
            let own = |role: &Role| matches!(role, Role::Event(g) if g == group);
            schema.columns.iter().any(|column| own(&column.role))
        })
        .collect()
}

/// Every derived column must lean on columns that exist and that the encoder sees.
fn check_references(schema: &FeatureSchema, inputs: &[usize]) -> Result<(), ModelError> {
    for (column, spec) in schema.columns.iter().enumerate() {
        if let Role::Derived {
            minuend,
            subtrahend,
            divisor,
            ..
        } = &spec.role
        {
            let references = [Some(*minuend), Some(*subtrahend), *divisor];
            for reference in references.into_iter().flatten().map(usize::from) {
                if !inputs.contains(&reference) {
                    return Err(ModelError::Derived { column, reference });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn inputs_are_event_context_derived_and_the_head_leaves_the_context_out() {
        let roles = Roles::new(&synthetic::schema()).unwrap();
        let derived = columns(&roles.schema, is_derived);
        assert!(
            roles
                .context
                .iter()
                .all(|column| !roles.head.contains(column))
        );
        assert!(roles.head.starts_with(&derived) && roles.inputs.ends_with(&derived));
        assert_eq!(roles.groups[0].0, FieldGroup::Amount);
    }

    #[test]
    fn a_schema_without_events_is_refused() {
        let mut schema = synthetic::schema();
        schema
            .columns
            .retain(|column| matches!(column.role, Role::Window));
        assert!(matches!(Roles::new(&schema), Err(ModelError::NoEvents)));
    }
}
