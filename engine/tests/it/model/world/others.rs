//! What the server, the group and people do to the owners of a partition.

use logmon_engine::delivery::protocol::{Input, Reply};

use super::{Case, Event, LETTERS, Order, Request, UNFIT, World};

impl World {
    pub(super) fn server_steps(&self, case: &Case, out: &mut Vec<(Event, Self)>) {
        for index in 0..self.flight.len() {
            if let Some((who, _, unit)) = self.flight[index].from
                && self.left.timeouts > 0
            {
                let mut next = self.clone();
                next.left.timeouts -= 1;
                let request = Request { from: None, ..next.flight[index].clone() };
                let from = std::mem::replace(&mut next.flight[index], request).from;
                next.flight.sort();
                next.answer(case, from, Reply::Unclear);
                out.push((Event::TimesOut(who, unit), next));
            }
            let mut next = self.clone();
            let request = next.flight.remove(index);
            // What cannot be read is refused before anybody looks at its token.
            if self.strict && request.rows.iter().any(|row| row.2 == UNFIT && row.0 != LETTERS) {
                next.answer(case, request.from, Reply::Unfit);
                out.push((Event::ServerRefuses, next));
                continue;
            }
            if case.token && next.tokens.contains(&request.token) {
                next.answer(case, request.from, Reply::Stored);
                out.push((Event::ServerDropsRepeat, next));
                continue;
            }
            if self.left.server_crashes > 0 && case.order != Order::Atomic {
                let mut next = next.clone();
                match case.order {
                    Order::LogFirst => next.remember(&request),
                    _ => next.store(&request),
                }
                next.answer(case, request.from, Reply::Unclear);
                next.crash(case);
                out.push((Event::ServerCrashesBetween, next));
            }
            next.store(&request);
            next.remember(&request);
            if self.left.server_crashes > 0 {
                let mut next = next.clone();
                next.answer(case, request.from, Reply::Unclear);
                next.crash(case);
                out.push((Event::ServerCrashesAfter, next));
            }
            let who = request.from.map_or(2, |from| from.0);
            if self.left.timeouts > 0 && request.from.is_some() {
                let mut next = next.clone();
                next.left.timeouts -= 1;
                next.answer(case, request.from, Reply::Unclear);
                out.push((Event::ServerStoresAnswerLost(who), next));
            }
            next.answer(case, request.from, Reply::Stored);
            out.push((Event::ServerStores(who), next));
        }
        if self.left.server_crashes > 0 {
            let mut next = self.clone();
            next.crash(case);
            out.push((Event::ServerCrashes, next));
        }
    }

    pub(super) fn other_steps(&self, case: &Case, out: &mut Vec<(Event, Self)>) {
        if self.left.reloads > 0 {
            let mut next = self.clone();
            next.left.reloads -= 1;
            next.rules = 2;
            out.push((Event::RulesChange, next));
        }
        if self.left.stricter > 0 {
            let mut next = self.clone();
            next.left.stricter -= 1;
            next.strict = true;
            out.push((Event::TableGetsStricter, next));
        }
        if self.left.recreations > 0 {
            // Offsets begin anew and hold other records; the group's own are forgotten.
            let mut next = self.clone();
            next.left.recreations -= 1;
            next.topic += 1;
            (next.offset, next.intent) = (0, None);
            next.owners = [None, None];
            next.forget(0);
            next.forget(1);
            next.generation += 1;
            next.start(case, self.owner);
            out.push((Event::TopicIsRecreated, next));
        }
        for who in 0..2 {
            if self.owner == who && self.owners[who].is_none() {
                let mut next = self.clone();
                next.generation += 1;
                next.start(case, who);
                out.push((Event::OwnerRestarts(who), next));
            }
            if self.owner != who && self.left.rebalances > 0 {
                let mut next = self.clone();
                next.left.rebalances -= 1;
                next.forget(who);
                let mut seen = next.clone();
                (next.generation, next.owner) = (self.generation + 1, who);
                next.start(case, who);
                out.push((Event::RebalanceUnseen(who), next));
                if let Some(mut old) = seen.owners[self.owner].take() {
                    // The owner hears of it, says its last word, and is gone.
                    old.protocol.step(Input::Leave);
                    if let Some((offset, _)) = old.protocol.last_word() {
                        (seen.offset, seen.intent) = (offset, None);
                    }
                    seen.forget(self.owner);
                    (seen.generation, seen.owner) = (self.generation + 1, who);
                    seen.start(case, who);
                    out.push((Event::RebalanceSeen(who), seen));
                }
            }
        }
    }

    fn crash(&mut self, case: &Case) {
        self.left.server_crashes -= 1;
        self.server += 1;
        for request in std::mem::take(&mut self.flight) {
            self.answer(case, request.from, Reply::Unclear);
        }
    }

    fn store(&mut self, request: &Request) {
        for row in &request.rows {
            match self.rows.iter_mut().find(|(known, _)| known == row) {
                Some((_, count)) => *count += 1,
                None => self.rows.push((*row, 1)),
            }
        }
        self.rows.sort_unstable();
    }

    fn remember(&mut self, request: &Request) {
        if let Err(at) = self.tokens.binary_search(&request.token) {
            self.tokens.insert(at, request.token);
        }
    }
}
