//! Whether a template wants the content of messages as text or as parts, told from its source by vLLM's rule
//! (`renderers/hf.py`, `_detect_content_format`): it wants parts when it loops over something that is, by the names
//! in it, the content of a message. Needs the engine's parser, so it is decided where tables are made, not where they
//! are used. docs/decisions/0007-content-formats-are-told-when-a-table-is-made.md argues why.

use std::collections::BTreeSet;

use minijinja::machinery::ast::{Call, CallArg, Expr, ForLoop, Macro, Set, Stmt};
use minijinja::machinery::parse;

use super::{ContentFormat, environment};

/// How the template `source` wants the content of messages. Text where the source is no template, as in vLLM.
pub fn content_format(source: &str) -> ContentFormat {
    let source = environment::without_generation_blocks(source);
    let parsed = environment::syntax().and_then(|syntax| parse(&source, environment::NAME, syntax));
    let Ok(template) = parsed else {
        return ContentFormat::Text;
    };
    let mut found = Found::default();
    found.statement(&template, None);
    if found.loops_over_content() {
        ContentFormat::Parts
    } else {
        ContentFormat::Text
    }
}

/// What the rule looks at, wherever it stands in a template.
#[derive(Default)]
struct Found<'t> {
    assignments: Vec<&'t Set<'t>>,
    calls: Vec<&'t Call<'t>>,
    /// Each with the macro that it stands in.
    loops: Vec<(&'t ForLoop<'t>, Option<&'t Macro<'t>>)>,
}

impl<'t> Found<'t> {
    fn statements(&mut self, statements: &'t [Stmt<'t>], within: Option<&'t Macro<'t>>) {
        statements
            .iter()
            .for_each(|statement| self.statement(statement, within));
    }

    fn statement(&mut self, statement: &'t Stmt<'t>, within: Option<&'t Macro<'t>>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, within),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::ForLoop(each) => {
                self.loops.push((each, within));
                self.expression(&each.iter);
                each.filter_expr.iter().for_each(|filter| self.expression(filter));
                self.statements(&each.body, within);
                self.statements(&each.else_body, within);
            }
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr);
                self.statements(&condition.true_body, within);
                self.statements(&condition.false_body, within);
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().for_each(|(_, value)| self.expression(value));
                self.statements(&with.body, within);
            }
            Stmt::Set(set) => {
                self.assignments.push(set);
                self.expression(&set.expr);
            }
            Stmt::SetBlock(set) => self.statements(&set.body, within),
            Stmt::AutoEscape(escape) => self.statements(&escape.body, within),
            Stmt::FilterBlock(filter) => self.statements(&filter.body, within),
            Stmt::Macro(inner) => self.statements(&inner.body, Some(inner)),
            Stmt::CallBlock(block) => {
                self.call(&block.call);
                self.statements(&block.macro_decl.body, within);
            }
            Stmt::Do(action) => self.call(&action.call),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
        }
    }

    fn expressions(&mut self, expressions: impl IntoIterator<Item = &'t Expr<'t>>) {
        expressions
            .into_iter()
            .for_each(|expression| self.expression(expression));
    }

    fn expression(&mut self, expression: &'t Expr<'t>) {
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(slice) => {
                self.expression(&slice.expr);
                self.expressions([&slice.start, &slice.stop, &slice.step].into_iter().flatten());
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => self.expressions([&operation.left, &operation.right]),
            Expr::Compare(compare) => {
                self.expression(&compare.expr);
                self.expressions(compare.ops.iter().map(|operand| &operand.expr));
            }
            Expr::IfExpr(choice) => {
                self.expressions([&choice.test_expr, &choice.true_expr]);
                self.expressions(&choice.false_expr);
            }
            Expr::Filter(filter) => {
                self.expressions(&filter.expr);
                self.expressions(filter.args.iter().map(argument));
            }
            Expr::Test(test) => {
                self.expression(&test.expr);
                self.expressions(test.args.iter().map(argument));
            }
            Expr::GetAttr(attribute) => self.expression(&attribute.expr),
            Expr::GetItem(item) => self.expressions([&item.expr, &item.subscript_expr]),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.expressions(&list.items),
            Expr::Tuple(tuple) => self.expressions(&tuple.items),
            Expr::Map(map) => self.expressions(map.keys.iter().chain(&map.values)),
        }
    }

    fn call(&mut self, call: &'t Call<'t>) {
        self.calls.push(call);
        self.expression(&call.expr);
        self.expressions(call.args.iter().map(argument));
    }

    fn loops_over_content(&self) -> bool {
        let lists = self.names_of_messages();
        let messages: BTreeSet<&str> = self
            .loops
            .iter()
            .filter(|(each, _)| lists.iter().any(|list| is_named(elements(&each.iter), list)))
            .filter_map(|(each, _)| variable(&each.target))
            .collect();
        let is_message = |expression: &Expr<'_>| variable(expression).is_some_and(|name| messages.contains(name));
        let is_content = |expression: &Expr<'_>| {
            let expression = elements(expression);
            if let Expr::GetItem(item) = expression {
                is_text(&item.subscript_expr, "content") && is_message(&item.expr)
            } else if let Expr::GetAttr(attribute) = expression {
                attribute.name == "content" && is_message(&attribute.expr)
            } else {
                false
            }
        };
        self.loops.iter().any(|(each, within)| {
            let named = variable(&each.iter);
            is_content(&each.iter)
                || named.is_some_and(|name| match within {
                    Some(within) => self.is_given(within, name, is_content),
                    None => name == "content",
                })
        })
    }

    /// What the list of messages goes by: its own name, what it or a part of it is assigned to, and so on.
    fn names_of_messages(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from(["messages".to_owned()]);
        loop {
            let is_known = |expression: &Expr<'_>| names.iter().any(|name| is_named(elements(expression), name));
            let found: Vec<String> = self.assignments.iter().flat_map(|set| aliases(set, is_known)).collect();
            let known = names.len();
            names.extend(found);
            if names.len() == known {
                return names;
            }
        }
    }

    /// Whether some call of `within` gives its parameter of that name something that `is_content`.
    fn is_given(&self, within: &Macro<'_>, name: &str, is_content: impl Fn(&Expr<'_>) -> bool) -> bool {
        let position = within
            .args
            .iter()
            .position(|parameter| variable(parameter) == Some(name));
        let Some(position) = position else { return false };
        let calls = self
            .calls
            .iter()
            .filter(|call| variable(&call.expr) == Some(within.name));
        calls
            .flat_map(|call| call.args.iter().enumerate())
            .any(|(at, given)| match given {
                CallArg::Pos(value) => at == position && is_content(value),
                CallArg::Kwarg(key, value) => *key == name && is_content(value),
                CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
            })
    }
}

/// Names that `set` gives to what `is_known`: `name`, or `namespace.name`.
fn aliases(set: &Set<'_>, is_known: impl Fn(&Expr<'_>) -> bool) -> Vec<String> {
    if is_known(&set.expr) {
        return dotted(&set.target).into_iter().collect();
    }
    match (variable(&set.target), &set.expr) {
        (Some(target), Expr::Call(call)) if variable(&call.expr) == Some("namespace") => {
            let known = call.args.iter().filter_map(|given| match given {
                CallArg::Kwarg(key, value) if is_known(value) => Some(format!("{target}.{key}")),
                CallArg::Pos(_) | CallArg::Kwarg(..) | CallArg::PosSplat(_) | CallArg::KwargSplat(_) => None,
            });
            known.collect()
        }
        _ => Vec::new(),
    }
}

/// What filters, tests and slices in `expression` are applied to.
fn elements<'e>(mut expression: &'e Expr<'e>) -> &'e Expr<'e> {
    loop {
        expression = if let Expr::Filter(filter) = expression
            && let Some(filtered) = &filter.expr
        {
            filtered
        } else if let Expr::Test(test) = expression {
            &test.expr
        } else if let Expr::Slice(slice) = expression {
            &slice.expr
        } else {
            return expression;
        }
    }
}

fn is_named(expression: &Expr<'_>, name: &str) -> bool {
    dotted(expression).is_some_and(|dotted| dotted == name)
}

/// `a` or `a.b`, if `expression` is such a name.
fn dotted(expression: &Expr<'_>) -> Option<String> {
    if let Expr::GetAttr(attribute) = expression {
        Some(format!("{}.{}", dotted(&attribute.expr)?, attribute.name))
    } else {
        variable(expression).map(str::to_owned)
    }
}

fn variable<'e>(expression: &'e Expr<'_>) -> Option<&'e str> {
    if let Expr::Var(variable) = expression {
        Some(variable.id)
    } else {
        None
    }
}

fn is_text(expression: &Expr<'_>, text: &str) -> bool {
    matches!(expression, Expr::Const(constant) if constant.value.as_str() == Some(text))
}

fn argument<'t>(given: &'t CallArg<'t>) -> &'t Expr<'t> {
    match given {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_loops_over_content_wants_parts() {
        for source in [
            "{% for m in messages %}{% for c in m['content'] %}{{ c }}{% endfor %}{% endfor %}",
            "{% for m in messages %}{% for c in m.content | list %}{{ c }}{% endfor %}{% endfor %}",
            "{% set rest = messages[1:] %}{% for m in rest %}{% for c in m.content %}{% endfor %}{% endfor %}",
            "{% set ns = namespace(rest=messages) %}{% for m in ns.rest %}{% for c in m.content %}{% endfor %}{% endfor %}",
            "{% set ns.rest = messages %}{% for m in ns.rest[1:] %}{% for c in m.content %}{% endfor %}{% endfor %}",
            "{% macro show(x) %}{% for c in x %}{% endfor %}{% endmacro %}{% for m in messages %}{{ show(m.content) }}{% endfor %}",
            "{% macro show(x) %}{% for c in x %}{% endfor %}{% endmacro %}{% for m in messages %}{{ show(x=m.content) }}{% endfor %}",
            "{% for m in messages %}{% set content = m.content %}{% for c in content %}{% endfor %}{% endfor %}",
            "{% for m in messages %}{% generation %}{% for c in m.content %}{% endfor %}{% endgeneration %}{% endfor %}",
        ] {
            assert_eq!(content_format(source), ContentFormat::Parts, "{source}");
        }
    }

    #[test]
    fn others_want_text() {
        for source in [
            "{% for m in messages %}{{ m.content }}{% endfor %}",
            "{% for m in messages %}{% for c in m.tool_calls %}{% endfor %}{% endfor %}",
            "{% for m in others %}{% for c in m.content %}{% endfor %}{% endfor %}",
            "{% macro show(content) %}{% for c in content %}{% endfor %}{% endmacro %}{% for m in messages %}{{ show(m.x) }}{% endfor %}",
            "{% for broken",
        ] {
            assert_eq!(content_format(source), ContentFormat::Text, "{source}");
        }
    }
}
