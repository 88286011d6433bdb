//! DELETE.

use super::insert::Dml;
use super::{Gen, Level};
use crate::oracle::frag::{Frag, seq};

impl Gen<'_> {
    pub(super) fn delete(&mut self, returning: bool) -> Dml {
        self.tag("DELETE");
        let (head, target) = self.target();
        let level = Level { rels: vec![target.clone()], merged: Vec::new() };
        let mut all = level.clone();
        let mut using = Frag::empty();
        if self.grow(35) {
            self.tag("DELETE USING");
            let (from, more) = self.using(&target.alias);
            using = seq![" USING ", from];
            all.rels.extend(more.rels);
        }
        let alone = all.rels.len() == 1;
        let join = if alone {
            None
        } else {
            self.equality(&level, &Level { rels: all.rels[1..].to_vec(), merged: Vec::new() })
        };
        self.levels.push(all);
        let wher = match join {
            Some(join) => seq![" WHERE ", join, seq![" AND (", self.condition(), ")"].opt()],
            None => self.wher(85),
        };
        self.levels.pop();
        let (returned, cols) = self.returning(level, returning, alone);
        Dml { frag: seq!["DELETE FROM ", head, using, wher, returned], cols }
    }
}
