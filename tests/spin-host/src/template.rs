//! Values of variables, and the templates `{{ name }}` that the manifest makes of them.

use std::collections::BTreeMap;

use wasmtime::error::Context as _;
use wasmtime::{Result, bail, ensure};

use crate::manifest::Variable;

/// The value of each variable that has one, from what was `set`, then the environment, then its default.
///
/// # Errors
/// When something is set that the manifest does not declare, a required variable has no value, or one has neither.
pub(crate) fn values(
    declared: &BTreeMap<String, Variable>,
    set: &[(String, String)],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>> {
    if let Some((name, _)) = set.iter().find(|(name, _)| !declared.contains_key(name)) {
        bail!("the manifest declares no variable `{name}`");
    }
    let mut values = BTreeMap::new();
    for (name, variable) in declared {
        ensure!(
            is_name(name),
            "`{name}` is no name for a variable: lower case, digits, single underscores"
        );
        ensure!(
            variable.required != variable.default.is_some(),
            "variable `{name}` must be either required or have a default"
        );
        let set = set
            .iter()
            .rev()
            .find(|(set, _)| set == name)
            .map(|(_, value)| value.clone());
        let from_environment = || environment(&format!("SPIN_VARIABLE_{}", name.to_uppercase()));
        let value = set.or_else(from_environment).or_else(|| variable.default.clone());
        let value = value.with_context(|| format!("required variable `{name}` is not set"))?;
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// The text that `template` makes of the variables' values.
///
/// # Errors
/// When it names a variable that is not declared, or is not closed.
pub(crate) fn resolve(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after
            .split_once("}}")
            .with_context(|| format!("`{template}` is not closed by `}}}}`"))?;
        let value = values
            .get(name.trim())
            .with_context(|| format!("`{template}` names an unknown variable"))?;
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// Whether Spin accepts `name`: it starts with a letter, and underscores stand alone between letters and digits.
pub(crate) fn is_name(name: &str) -> bool {
    let letters = name.chars().all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
    letters
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> BTreeMap<String, Variable> {
        toml::from_str(text).expect("a table of variables")
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn set_values_go_before_the_environment_before_defaults() -> Result<()> {
        let declared = declared("a = { default = \"1\" }\nb = { default = \"2\" }\nc = { default = \"3\" }");
        let set = [("a".to_owned(), "set".to_owned())];
        let values = values(&declared, &set, |name| {
            (name != "SPIN_VARIABLE_C").then(|| name.to_owned())
        })?;
        assert_eq!(values["a"], "set");
        assert_eq!(values["b"], "SPIN_VARIABLE_B");
        assert_eq!(values["c"], "3");
        Ok(())
    }

    #[test]
    fn a_required_variable_needs_a_value_and_only_declared_ones_may_be_set() {
        let declared = declared("a = { required = true, secret = true }");
        assert!(values(&declared, &[], nothing).is_err());
        assert!(values(&declared, &[("a".to_owned(), String::new())], nothing).is_ok());
        let set = [("a".to_owned(), String::new()), ("b".to_owned(), String::new())];
        assert!(values(&declared, &set, nothing).is_err());
    }

    #[test]
    fn templates_take_values_wherever_they_stand() -> Result<()> {
        let values = BTreeMap::from([
            ("host".to_owned(), "gpu.test".to_owned()),
            ("port".to_owned(), "8".to_owned()),
        ]);
        assert_eq!(resolve("https://{{ host }}:{{port}}/", &values)?, "https://gpu.test:8/");
        assert_eq!(resolve("plain", &values)?, "plain");
        assert!(resolve("{{ nothing }}", &values).is_err());
        assert!(resolve("{{ host", &values).is_err());
        Ok(())
    }

    #[test]
    fn names_are_spins() {
        for (name, good) in [
            ("a", true),
            ("a_1", true),
            ("A", false),
            ("1a", false),
            ("a__b", false),
            ("a_", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }
}
