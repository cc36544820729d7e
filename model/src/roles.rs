//! Which column of a schema plays which part in the network: the encoder's inputs, the field
//! groups that are contrasted, the head's inputs, and the derived columns that follow when a
//! perturbation moves what they are derived from. Only positions live here, no tensors.

use features::{Column, FeatureSchema, FieldGroup, Role};

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
                .filter(|&&c| is_periodic(&schema.columns()[c]))
                .count() as u32,
            inputs: inputs.len() as u32,
            groups: schema.groups().len() as u32,
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
    pub(crate) derived: Vec<usize>,
    /// Field groups, in the order of the energies.
    pub(crate) groups: Vec<Group>,
    /// What versions of a row change: the context, where there is one, then each field group.
    pub(crate) changes: Vec<Change>,
    /// Columns that enter the head after z: derived, event, windows, risk. The federation's risk
    /// stands in for the bank's own, which a head beside it would have to weigh against it.
    pub(crate) head: Vec<usize>,
}

/// Event columns that are perturbed together.
pub(crate) struct Group {
    pub(crate) of: FieldGroup,
    pub(crate) fields: Vec<usize>,
    /// Those of them that a perturbation may shift by noise.
    pub(crate) shifted: Vec<usize>,
}

/// Columns that versions of a row change together, and what follows from them. It is the schema's
/// alone, the same for every row and draw, so a step need not look at all else again.
pub(crate) struct Change {
    pub(crate) of: Changed,
    /// Derived columns that follow, in order.
    pub(crate) derived: Vec<usize>,
    /// Positions within v of all that may differ from the true row, in order.
    pub(crate) positions: Vec<usize>,
}

/// What a change begins with.
pub(crate) enum Changed {
    /// The context columns.
    Context,
    /// The field group at this place.
    Group(usize),
}

impl Roles {
    /// Reads the roles of a schema.
    pub(crate) fn new(schema: &FeatureSchema) -> Self {
        let events = columns(schema, |role| matches!(role, Role::Event(_)));
        let context = columns(schema, |role| matches!(role, Role::Context));
        let inputs = [events, context.clone(), columns(schema, is_derived)].concat();
        let group = |of: FieldGroup| {
            let fields = columns(schema, |role| *role == Role::Event(of));
            let is_shifted = |column: &usize| schema.columns()[*column].is_shifted;
            Group {
                of,
                shifted: fields.iter().copied().filter(is_shifted).collect(),
                fields,
            }
        };
        let groups: Vec<Group> = schema.field_groups().map(group).collect();
        let swapped = (!context.is_empty()).then_some((Changed::Context, &context));
        let perturbed = groups
            .iter()
            .enumerate()
            .map(|(at, group)| (Changed::Group(at), &group.fields));
        let changes = swapped
            .into_iter()
            .chain(perturbed)
            .map(|(of, columns)| Change::new(schema, &inputs, of, columns))
            .collect();
        let names = schema.columns().iter().map(|column| column.name.clone());
        Self {
            names: names.collect(),
            periodic: (0..inputs.len())
                .filter(|&at| is_periodic(&schema.columns()[inputs[at]]))
                .collect(),
            head: head_columns(schema),
            schema: schema.clone(),
            derived: columns(schema, is_derived),
            inputs,
            context,
            groups,
            changes,
        }
    }

    /// Columns per row.
    pub(crate) fn columns(&self) -> usize {
        self.names.len()
    }

    /// Recomputes derived columns of a whole row, by the function that first filled them.
    pub(crate) fn derive(&self, derived: &[usize], row: &mut [f32]) {
        for &column in derived {
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

impl Change {
    fn new(schema: &FeatureSchema, inputs: &[usize], of: Changed, columns: &[usize]) -> Self {
        let (mut moved, mut derived) = (columns.to_vec(), Vec::new());
        // A column is derived from columns before it, so one pass finds what follows from others.
        for (at, column) in schema.columns().iter().enumerate() {
            if follows(column, &moved) {
                moved.push(at);
                derived.push(at);
            }
        }
        let is_moved = |at: &usize| moved.contains(&inputs[*at]);
        Self {
            of,
            derived,
            positions: (0..inputs.len()).filter(is_moved).collect(),
        }
    }
}

/// Whether a column is derived from one of `moved`.
fn follows(column: &Column, moved: &[usize]) -> bool {
    let Role::Derived {
        minuend,
        subtrahend,
        divisor,
        ..
    } = column.role
    else {
        return false;
    };
    let operands = [Some(minuend), Some(subtrahend), divisor];
    let mut operands = operands.into_iter().flatten().map(usize::from);
    operands.any(|operand| moved.contains(&operand))
}

/// Flags have no periodic embedding: on 0 and 1, sine and cosine only repeat the linear term.
fn is_periodic(column: &Column) -> bool {
    !column.is_flag
}

fn is_input(role: &Role) -> bool {
    matches!(role, Role::Event(_) | Role::Context | Role::Derived { .. })
}

fn is_derived(role: &Role) -> bool {
    matches!(role, Role::Derived { .. })
}

fn columns(schema: &FeatureSchema, test: impl Fn(&Role) -> bool) -> Vec<usize> {
    schema.indices(test)
}

fn head_columns(schema: &FeatureSchema) -> Vec<usize> {
    let shared = columns(schema, |role| matches!(role, Role::SharedRisk));
    let own = columns(schema, |role| matches!(role, Role::OwnRisk));
    [
        columns(schema, is_derived),
        columns(schema, |role| matches!(role, Role::Event(_))),
        columns(schema, |role| matches!(role, Role::Window)),
        if shared.is_empty() { own } else { shared },
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn inputs_are_event_context_derived_and_the_head_leaves_the_context_out() {
        let roles = Roles::new(&synthetic::schema());
        let derived = columns(&roles.schema, is_derived);
        assert!(
            roles
                .context
                .iter()
                .all(|column| !roles.head.contains(column))
        );
        assert!(roles.head.starts_with(&derived) && roles.inputs.ends_with(&derived));
        let groups: Vec<&str> = roles
            .groups
            .iter()
            .map(|group| roles.schema.group_name(group.of))
            .collect();
        assert_eq!(groups, ["amount", "gap", "time", "visits", "category"]);
        assert_eq!(roles.groups[0].shifted, roles.groups[0].fields);
        assert!(
            roles.groups[1..]
                .iter()
                .all(|group| group.shifted.is_empty())
        );
    }

    #[test]
    fn a_schema_without_history_has_no_context_and_nothing_derived() {
        let schema = synthetic::single();
        let roles = Roles::new(&schema);
        assert!(roles.context.is_empty() && roles.derived.is_empty());
        assert_eq!(roles.inputs, roles.head);
        assert_eq!(roles.inputs.len(), schema.len());
        let flags = schema.columns().iter().filter(|column| column.is_flag);
        assert_eq!(roles.periodic.len(), schema.len() - flags.count());
        assert_eq!(roles.groups.len(), schema.groups().len());
    }
}
