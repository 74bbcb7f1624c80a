//! `crd`: the definitions of the kinds, for `kubectl apply -f -`.

use std::io::{Write, stdout};

use crate::{Error, Operator};

/// Prints the definitions that the operator brings along.
pub(super) fn run(operator: &Operator) -> Result<(), Error> {
    stdout().lock().write_all(text(operator)?.as_bytes())?;
    Ok(())
}

/// YAML, one document per definition.
pub(super) fn text(operator: &Operator) -> Result<String, Error> {
    let crds = operator.crds();
    if crds.is_empty() {
        return Err("the operator brings no definitions along: declare them by `on::<K>().with_crd()`".into());
    }
    crds.into_iter().map(|crd| Ok(format!("---\n{}\n", serde_saphyr::to_string(crd)?.trim_end()))).collect()
}
