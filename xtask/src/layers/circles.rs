//! Circles in a graph: sets of nodes of which each leads to each other one (strongly connected components, by Tarjan,
//! "Depth-first search and linear graph algorithms", 1972).

/// The circles among nodes `0..nodes`, each sorted, those of more than one node only; the largest first.
pub fn circles(nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut search = Search {
        next: vec![Vec::new(); nodes],
        index: vec![None; nodes],
        lowest: vec![0; nodes],
        on_stack: vec![false; nodes],
        stack: Vec::new(),
        seen: 0,
        found: Vec::new(),
    };
    for (from, to) in edges {
        search.next[*from].push(*to);
    }
    for node in 0..nodes {
        if search.index[node].is_none() {
            search.visit(node);
        }
    }
    search.found.retain(|circle| circle.len() > 1);
    search.found.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    search.found
}

/// One way around: from the first node of a circle back to it, by the fewest steps.
pub fn way_around(circle: &[usize], edges: &[(usize, usize)]) -> Vec<usize> {
    let Some(start) = circle.first() else {
        return Vec::new();
    };
    let mut ways = vec![vec![*start]];
    let mut reached = std::collections::BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last();
            for (_, to) in edges
                .iter()
                .filter(|(from, to)| Some(from) == last && circle.contains(to))
            {
                if to == start {
                    return way;
                }
                if reached.insert(*to) {
                    longer.push([way.as_slice(), &[*to]].concat());
                }
            }
        }
        ways = longer;
    }
    Vec::new()
}

struct Search {
    next: Vec<Vec<usize>>,
    /// In which order nodes were come to.
    index: Vec<Option<usize>>,
    /// The first node on the stack that can be come to from here.
    lowest: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<usize>,
    seen: usize,
    found: Vec<Vec<usize>>,
}

impl Search {
    fn visit(&mut self, node: usize) {
        let index = self.seen;
        self.seen += 1;
        self.index[node] = Some(index);
        self.lowest[node] = index;
        self.stack.push(node);
        self.on_stack[node] = true;
        for step in 0..self.next[node].len() {
            let to = self.next[node][step];
            match self.index[to] {
                None => {
                    self.visit(to);
                    self.lowest[node] = self.lowest[node].min(self.lowest[to]);
                }
                Some(index) if self.on_stack[to] => self.lowest[node] = self.lowest[node].min(index),
                Some(_) => {}
            }
        }
        if self.lowest[node] == index {
            let at = self.stack.iter().position(|other| *other == node).unwrap_or_default();
            let mut circle = self.stack.split_off(at);
            circle.iter().for_each(|node| self.on_stack[*node] = false);
            circle.sort_unstable();
            self.found.push(circle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_chains_are_none() {
        let edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (5, 6), (6, 5), (0, 5)];
        assert_eq!(circles(7, &edges), [vec![0, 1, 2], vec![5, 6]]);
        assert_eq!(
            circles(4, &[(0, 1), (1, 2), (0, 2), (3, 0), (2, 2)]),
            Vec::<Vec<usize>>::new()
        );
    }

    #[test]
    fn the_shortest_way_around_is_told() {
        let edges = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 3)];
        let circle = &circles(4, &edges)[0];
        assert_eq!(way_around(circle, &edges), [0, 1, 3]);
    }
}
