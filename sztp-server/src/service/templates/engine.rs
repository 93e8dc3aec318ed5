//! Jinja templates, strict: a variable without a value is an error that names it, never an empty
//! text.
//!
//! A template reaches no file, no network and no other template. Fuel bounds what a render may
//! take in time and memory; the size of its output is bounded too.

use std::collections::BTreeSet;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::InventoryError;

/// A template that was read, or octets that are given as they are.
pub(in crate::service) enum Compiled {
    Jinja {
        environment: Box<Environment<'static>>,
        /// What it looks up, with dots; whether it always does is not considered.
        variables: BTreeSet<String>,
    },
    Verbatim(Vec<u8>),
}

impl Compiled {
    /// Reads a template; `name` is what errors call it.
    pub(in crate::service) fn jinja(name: &str, content: Vec<u8>) -> Result<Self, InventoryError> {
        let syntax_error = |problem: String| InventoryError::TemplateSyntax {
            name: name.to_owned(),
            problem,
        };
        let source =
            String::from_utf8(content).map_err(|_| syntax_error("not in UTF-8".to_owned()))?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        // Without it an error does not know which expression it comes from.
        environment.set_debug(true);
        // It would print everything that a template could.
        environment.remove_global("debug");
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| syntax_error(plain(&error)))?;
        environment.set_syntax(syntax);
        environment
            .add_template_owned(name.to_owned(), source)
            .map_err(|error| syntax_error(plain(&error)))?;
        let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let variables = environment
            .templates()
            .flat_map(|(_, template)| template.undeclared_variables(true))
            .filter(|name| !globals.contains(name.split('.').next().unwrap_or_default()))
            .collect();
        Ok(Self::Jinja {
            environment: Box::new(environment),
            variables,
        })
    }

    /// What it looks up, with dots.
    pub(in crate::service) fn variables(&self) -> &BTreeSet<String> {
        match self {
            Self::Jinja { variables, .. } => variables,
            Self::Verbatim(_) => const { &BTreeSet::new() },
        }
    }

    /// Fills it in.
    pub(in crate::service) fn render(
        &self,
        context: &Value,
        max_octets: usize,
    ) -> Result<Vec<u8>, InventoryError> {
        let environment = match self {
            Self::Verbatim(octets) => return Ok(octets.clone()),
            Self::Jinja { environment, .. } => environment,
        };
        let Some((name, template)) = environment.templates().next() else {
            return Ok(Vec::new());
        };
        let output = template
            .render(context)
            .map_err(|error| failure(name, &error))?;
        if output.len() > max_octets {
            return Err(InventoryError::TemplateCost {
                template: name.to_owned(),
                problem: format!("it gives more than {max_octets} octets"),
            });
        }
        Ok(output.into_bytes())
    }
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jinja { .. } => f.write_str("Jinja(..)"),
            Self::Verbatim(octets) => write!(f, "Verbatim({} octets)", octets.len()),
        }
    }
}

fn failure(name: &str, error: &Error) -> InventoryError {
    let template = name.to_owned();
    // A macro's error is the source of that of its call.
    let mut innermost = error;
    while let Some(source) =
        std::error::Error::source(innermost).and_then(|source| source.downcast_ref::<Error>())
    {
        innermost = source;
    }
    if let Some(variable) = undefined_operand(innermost) {
        return InventoryError::UndefinedVariable {
            template,
            line: innermost.line().unwrap_or(0),
            variable,
        };
    }
    match innermost.kind() {
        ErrorKind::UndefinedError => InventoryError::UndefinedVariable {
            template,
            line: innermost.line().unwrap_or(0),
            variable: expression(innermost).unwrap_or_else(|| "?".to_owned()),
        },
        ErrorKind::OutOfFuel => InventoryError::TemplateCost {
            template,
            problem: "it takes too long, or too much memory".to_owned(),
        },
        _ => InventoryError::TemplateFailed {
            template,
            problem: plain(innermost),
        },
    }
}

/// Operators, filters and functions refuse what has no value as they refuse a value of the wrong
/// kind, and only then say which it was.
fn undefined_operand(error: &Error) -> Option<String> {
    let (before, _) = error.detail()?.split_once("` is undefined")?;
    let (_, name) = before.rsplit_once('`')?;
    (!name.is_empty()).then(|| name.chars().take(80).collect())
}

/// The expression that an error comes from, as it is written in the template.
fn expression(error: &Error) -> Option<String> {
    let text = error.template_source()?.get(error.range()?)?.trim();
    let short: String = text.chars().take(80).collect();
    (!short.is_empty()).then_some(short)
}

/// Kind, detail and line, without the variables' values that a debug form shows.
fn plain(error: &Error) -> String {
    let kind = error.kind();
    let mut text = match error.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    };
    if let Some(line) = error.line() {
        text = format!("line {line}: {text}");
    }
    text
}

/// About 64 octets or one instruction each.
const FUEL: u64 = 500_000;

/// Calls within calls.
const RECURSION: usize = 50;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(source: &str, variables: &serde_json::Value) -> Result<String, InventoryError> {
        let compiled = Compiled::jinja("t", source.as_bytes().to_vec())?;
        let octets = compiled.render(&Value::from(minijinja::value::Serde(variables)), 1 << 20)?;
        Ok(String::from_utf8(octets).expect("UTF-8"))
    }

    #[test]
    fn what_is_given_is_filled_in_as_it_is() {
        let variables = json!({"host": "a<b>&\"c\"", "vlans": [1, 2]});
        let text = render(
            "hostname {{ host }}\n{% for v in vlans %}vlan {{ v }}\n{% endfor %}",
            &variables,
        );
        assert_eq!(text.unwrap(), "hostname a<b>&\"c\"\nvlan 1\nvlan 2\n");
    }

    #[test]
    fn a_variable_without_a_value_is_named() {
        for (source, name) in [
            ("x\n{{ vlan }}", "vlan"),
            ("\n{{ interface.mtu }}", "interface.mtu"),
            ("\n{% if vlan == 3 %}{% endif %}", "vlan"),
            ("\n{% for v in vlans %}{% endfor %}", "vlans"),
            ("\n{{ vlan + 1 }}", "vlan"),
            ("\n{{ vlan | upper }}", "vlan"),
        ] {
            let error = render(source, &json!({"interface": {}})).unwrap_err();
            let InventoryError::UndefinedVariable { variable, line, .. } = &error else {
                panic!("{source}: {error:?}");
            };
            assert!(variable.contains(name), "{source}: {error}");
            assert_eq!(*line, 2, "{source}");
        }
        // Said in so many words it is no error.
        assert_eq!(render("{{ vlan | default(7) }}", &json!({})).unwrap(), "7");
        assert_eq!(
            render("{% if vlan is defined %}x{% endif %}", &json!({})).unwrap(),
            ""
        );
    }

    #[test]
    fn no_template_runs_for_ever_or_fills_the_memory() {
        for source in [
            "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
            "{{ 'x' * 900000000 }}",
            "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}\
             {% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}",
            "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
        ] {
            let error = render(source, &json!({})).unwrap_err();
            assert!(
                matches!(
                    error,
                    InventoryError::TemplateCost { .. } | InventoryError::TemplateFailed { .. }
                ),
                "{source}: {error:?}"
            );
        }
        let long = render("{{ 'x' * 2000000 }}", &json!({})).unwrap_err();
        assert_eq!(long.code(), "configuration.cost");
    }

    #[test]
    fn no_template_reaches_anything_else() {
        for source in [
            "{% include '/etc/passwd' %}",
            "{% import 'x' as x %}",
            "{% extends 'x' %}",
            "{{ debug() }}",
            "{{ 1 | unknown_filter }}",
            "{% if %}",
            "{#",
        ] {
            assert!(
                render(source, &json!({"secret": "s3cret"})).is_err(),
                "{source}"
            );
        }
        let not_text = Compiled::jinja("t", vec![0xFF]).unwrap_err();
        assert_eq!(not_text.code(), "configuration.syntax");
    }

    #[test]
    fn the_variables_of_a_template() {
        let compiled = Compiled::jinja(
            "t",
            b"{{ a }}{{ b.c }}{% for x in d %}{{ x }}{% endfor %}{{ range(3) }}".to_vec(),
        )
        .unwrap();
        let names: Vec<String> = compiled.variables().iter().cloned().collect();
        assert_eq!(names, ["a", "b.c", "d"]);
    }
}
