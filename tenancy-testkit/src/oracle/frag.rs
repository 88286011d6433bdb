//! SQL text as a tree that can be cut down without losing its syntax.

use std::borrow::Cow;

use super::value::Value;

/// What a [`Frag::Node`] is; a node can be replaced by one of the same kind from inside of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Expr(super::value::Type),
    Query,
    From,
}

/// A piece of SQL text that knows what may be left out of it.
#[derive(Clone, Debug)]
pub(crate) enum Frag {
    Text(Cow<'static, str>),
    /// The bound value of this number, counted from zero.
    Param(usize),
    Seq(Vec<Frag>),
    /// May be left out.
    Opt(Box<Frag>),
    /// Items of which at least `min` stay.
    List {
        sep: &'static str,
        min: usize,
        items: Vec<Frag>,
    },
    /// May be replaced by a simpler text.
    Or(Box<Frag>, Cow<'static, str>),
    /// May be replaced by a node of the same kind inside of it.
    Node(Kind, Box<Frag>),
}

impl From<&'static str> for Frag {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Frag {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// Several pieces, one after the other.
macro_rules! seq {
    ($($part:expr),* $(,)?) => { $crate::oracle::frag::Frag::Seq(vec![$($crate::oracle::frag::Frag::from($part)),*]) };
}
pub(crate) use seq;

impl Frag {
    pub(crate) fn empty() -> Self {
        Self::Seq(Vec::new())
    }

    pub(crate) fn opt(self) -> Self {
        Self::Opt(Box::new(self))
    }

    pub(crate) fn or(self, simple: impl Into<Cow<'static, str>>) -> Self {
        Self::Or(Box::new(self), simple.into())
    }

    pub(crate) fn mentions(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => own.contains(text),
            Self::Param(_) => false,
            Self::Seq(parts) | Self::List { items: parts, .. } => {
                parts.iter().any(|part| part.mentions(text))
            }
            Self::Opt(part) | Self::Or(part, _) | Self::Node(_, part) => part.mentions(text),
        }
    }

    pub(crate) fn node(self, kind: Kind) -> Self {
        Self::Node(kind, Box::new(self))
    }

    pub(crate) fn list(sep: &'static str, min: usize, items: Vec<Self>) -> Self {
        Self::List { sep, min, items }
    }

    /// The text, and which values it binds in the order of their numbers.
    pub(crate) fn render(&self, values: &[Value]) -> (String, Vec<Value>) {
        let mut used = vec![false; values.len()];
        self.mark(&mut used);
        let mut numbers = vec![0; values.len()];
        let mut bound = Vec::new();
        for (i, value) in values.iter().enumerate().filter(|(i, _)| used[*i]) {
            bound.push(value.clone());
            numbers[i] = bound.len();
        }
        let mut sql = String::with_capacity(256);
        self.write(&numbers, &mut sql);
        (sql, bound)
    }

    fn mark(&self, used: &mut [bool]) {
        match self {
            Self::Text(_) => {}
            Self::Param(i) => used[*i] = true,
            Self::Seq(parts) | Self::List { items: parts, .. } => {
                parts.iter().for_each(|part| part.mark(used));
            }
            Self::Opt(inner) | Self::Or(inner, _) | Self::Node(_, inner) => inner.mark(used),
        }
    }

    fn write(&self, numbers: &[usize], sql: &mut String) {
        match self {
            Self::Text(text) => sql.push_str(text),
            Self::Param(i) => {
                sql.push('$');
                sql.push_str(&numbers[*i].to_string());
            }
            Self::Seq(parts) => parts.iter().for_each(|part| part.write(numbers, sql)),
            Self::List { sep, items, .. } => {
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        sql.push_str(sep);
                    }
                    item.write(numbers, sql);
                }
            }
            Self::Opt(inner) | Self::Or(inner, _) | Self::Node(_, inner) => inner.write(numbers, sql),
        }
    }

    /// This text with its `number`th possible reduction applied, or `None` if it has fewer.
    ///
    /// Also tells whether a query took the place of the one around it, whose order may be another.
    pub(crate) fn reduced(&self, number: usize) -> Option<(Self, bool)> {
        let mut step = Step { left: number, hoisted: false };
        self.reduce(&mut step).ok().map(|frag| (frag, step.hoisted))
    }

    /// `Err` if the reduction lies behind this piece; `step` then says how far.
    fn reduce(&self, step: &mut Step) -> Result<Self, ()> {
        match self {
            Self::Text(_) | Self::Param(_) => Err(()),
            Self::Seq(parts) => reduce_one(parts, step).map(Self::Seq),
            Self::Opt(inner) => {
                if step.take() {
                    return Ok(Self::empty());
                }
                inner.reduce(step).map(Self::opt)
            }
            Self::Or(inner, simple) => {
                if step.take() {
                    return Ok(Self::Text(simple.clone()));
                }
                let simple = simple.clone();
                inner.reduce(step).map(|inner| inner.or(simple))
            }
            Self::List { sep, min, items } => {
                let droppable = if items.len() > *min { items.len() } else { 0 };
                if step.left < droppable {
                    let mut items = items.clone();
                    items.remove(step.left);
                    return Ok(Self::list(sep, *min, items));
                }
                step.left -= droppable;
                reduce_one(items, step).map(|items| Self::list(sep, *min, items))
            }
            Self::Node(kind, inner) => {
                let mut hoisted = Vec::new();
                inner.nearest(*kind, &mut hoisted);
                if step.left < hoisted.len() {
                    step.hoisted = *kind == Kind::Query;
                    return Ok(hoisted[step.left].clone());
                }
                step.left -= hoisted.len();
                inner.reduce(step).map(|inner| inner.node(*kind))
            }
        }
    }

    /// The outermost nodes of `kind` inside of this piece.
    fn nearest<'a>(&'a self, kind: Kind, found: &mut Vec<&'a Self>) {
        match self {
            Self::Text(_) | Self::Param(_) => {}
            Self::Seq(parts) | Self::List { items: parts, .. } => {
                parts.iter().for_each(|part| part.nearest(kind, found));
            }
            Self::Opt(inner) | Self::Or(inner, _) => inner.nearest(kind, found),
            Self::Node(own, _) if *own == kind => found.push(self),
            Self::Node(_, inner) => inner.nearest(kind, found),
        }
    }
}

/// How far the reduction that is looked for still lies, and what it turned out to be.
#[derive(Debug)]
struct Step {
    left: usize,
    hoisted: bool,
}

impl Step {
    fn take(&mut self) -> bool {
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }
}

fn reduce_one(parts: &[Frag], step: &mut Step) -> Result<Vec<Frag>, ()> {
    for (i, part) in parts.iter().enumerate() {
        if let Ok(reduced) = part.reduce(step) {
            let mut parts = parts.to_vec();
            parts[i] = reduced;
            return Ok(parts);
        }
    }
    Err(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::value::Type;

    fn sample() -> Frag {
        let inner = Frag::from("a").node(Kind::Expr(Type::Bool));
        let both = seq!["(", inner, " AND ", Frag::Param(1), ")"].node(Kind::Expr(Type::Bool));
        let items = Frag::list(", ", 1, vec![Frag::from("x"), Frag::Param(2)]);
        seq!["SELECT ", items, seq![" WHERE ", both].opt()]
    }

    fn values() -> Vec<Value> {
        (0..3).map(|i| Value::Int(Some(i))).collect()
    }

    #[test]
    fn parameters_are_numbered_by_what_is_left() {
        let (sql, bound) = sample().render(&values());
        assert_eq!(sql, "SELECT x, $2 WHERE (a AND $1)");
        assert_eq!(bound, [Value::Int(Some(1)), Value::Int(Some(2))]);
    }

    #[test]
    fn every_reduction_is_tried_once_and_keeps_the_syntax() {
        let sample = sample();
        let all: Vec<_> =
            (0..).map_while(|i| sample.reduced(i)).map(|(frag, _)| frag.render(&values()).0).collect();
        assert_eq!(
            all,
            [
                "SELECT $2 WHERE (a AND $1)",
                "SELECT x WHERE (a AND $1)",
                "SELECT x, $1",
                "SELECT x, $1 WHERE a"
            ]
        );
    }

    /// The order of what is left is not that of what stood around it.
    #[test]
    fn a_query_in_the_place_of_another_is_told() {
        let inner = seq!["SELECT b FROM u"].node(Kind::Query);
        let outer = seq!["SELECT a FROM (", inner, ") AS t", Frag::from(" WHERE c").opt(), " ORDER BY 1"];
        let outer = outer.node(Kind::Query);
        let all: Vec<_> = (0..).map_while(|i| outer.reduced(i)).map(|(f, h)| (f.render(&[]).0, h)).collect();
        assert_eq!(all[0], ("SELECT b FROM u".to_owned(), true));
        assert_eq!(all[1], ("SELECT a FROM (SELECT b FROM u) AS t ORDER BY 1".to_owned(), false));
        assert_eq!(all.len(), 2);
    }
}
