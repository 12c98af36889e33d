//! One column's values read out of a route's rows, and what its column could not take.

use std::{sync::Arc, time::Duration};

use logmon_dsl::{
    column::{
        Absence, Column, Kind, NodeId, View,
        batch::{Meta, Snapshot},
    },
    eval::Routed,
};

use super::{
    append::{Context, Counts},
    bind::{Binding, Bound, Fallback, From},
    cell::{Cell, Converter},
    columns::{Decoded, Values},
    place::{Place, Whole},
    rest::Rests,
    text::elements,
    types::{Scalar, Type},
};

/// A parameter of a route, records taken apart.
pub(super) type Argument = (Vec<Arc<str>>, Arc<Column>);

/// One column's way through a route: what it reads and what it leaves behind.
pub(super) struct Reader<'a> {
    pub(super) binding: &'a Binding,
    pub(super) bound: &'a Bound,
    pub(super) whole: Whole<'a>,
    pub(super) meta: &'a Meta,
    pub(super) routed: &'a Routed,
    pub(super) context: &'a Context<'a>,
    pub(super) arena: &'a [u8],
    /// Text printed for this column; it stands behind the arena.
    pub(super) extra: &'a mut Vec<u8>,
    pub(super) rests: &'a mut Rests,
    pub(super) hidden: &'a mut Vec<(u32, NodeId)>,
    /// Rows that took the default of a column that cannot be NULL.
    pub(super) defaulted: Counts,
    /// Values that came but do not fit.
    pub(super) unfit: Counts,
    /// Events whose time was not accepted.
    pub(super) retimed: u32,
}

impl Reader<'_> {
    /// Decodes the column for all routed rows.
    pub(super) fn column(
        &mut self,
        arguments: &[Argument],
        converter: Option<&mut Converter>,
        constant: Option<View>,
        decoded: &mut Decoded,
    ) {
        decoded.clear();
        let routed = self.routed;
        let meta = self.meta;
        match &self.bound.from {
            From::Map(_) => {}
            From::Topic => {
                let topic = constant.map_or(Cell::Absent(Absence::Missing), Cell::View);
                self.same(topic, converter, decoded, constant);
            }
            From::Partition => {
                let partition = Cell::Int(i64::from(meta.partition));
                self.same(partition, converter, decoded, constant);
            }
            From::Offset if self.bound.ty.scalar().is_some_and(Scalar::is_widest) => {
                self.offsets(decoded);
            }
            From::Offset => {
                self.each(converter, decoded, constant, |_, row| Cell::Int(meta.offsets[row]));
            }
            From::EmitIx if routed.emit_ix.iter().all(|&ix| ix == routed.emit_ix[0]) => {
                let emit_ix = Cell::Int(routed.emit_ix.first().copied().unwrap_or(0).into());
                self.same(emit_ix, converter, decoded, constant);
            }
            From::EmitIx => {
                self.each(converter, decoded, constant, |at, _| {
                    Cell::Int(i64::from(routed.emit_ix[at]))
                });
            }
            From::Attempt => {
                let attempt = Cell::Unsigned(u64::from(self.context.attempt));
                self.same(attempt, converter, decoded, constant);
            }
            From::Incarnation => {
                let incarnation = Cell::Unsigned(u64::from(self.context.incarnation));
                self.same(incarnation, converter, decoded, constant);
            }
            From::Fields(nodes) => {
                let places = self.places(nodes, arguments);
                self.fields(converter, decoded, constant, &places);
            }
            From::Source(nodes) => {
                let places = self.places(nodes, arguments);
                self.fields(converter, decoded, constant, &places);
                // The source's name is a value of its own, not a default.
                decoded.state.fill(0);
            }
            From::ObservedAt(nodes) => {
                let places = self.places(nodes, arguments);
                let Some(converter) = converter else { return };
                self.moments(converter, decoded, &places, false);
            }
            From::EventTime(nodes) => {
                let places = self.places(nodes, arguments);
                let Some(converter) = converter else { return };
                self.moments(converter, decoded, &places, true);
            }
        }
    }

    fn places<'p>(&self, nodes: &[NodeId], arguments: &'p [Argument]) -> Vec<Place<'p>>
    where
        Self: 'p,
    {
        let snapshot: &'p Snapshot = self.whole.snapshot;
        let layout = &self.binding.layout;
        let mut places: Vec<Place<'p>> = arguments
            .iter()
            .filter(|(path, _)| layout.find(path).is_some_and(|node| nodes.contains(&node)))
            .map(|(_, column)| Place::argument(column))
            .collect();
        places.extend(nodes.iter().filter_map(|&node| Place::field(snapshot, node)));
        places
    }

    /// The first value that one of the places has. Others that also have one are left over.
    #[inline]
    fn first<'p>(
        &mut self,
        places: &'p [Place<'p>],
        at: usize,
        row: usize,
    ) -> (Cell, Option<&'p Place<'p>>) {
        let mut why = Absence::Missing;
        for (number, place) in places.iter().enumerate() {
            match place.cell(row) {
                Cell::Absent(cause) => {
                    if number == 0 || why == Absence::Missing {
                        why = cause;
                    }
                }
                cell => {
                    // A parameter replaces the event's own value, a likelier path does not.
                    if place.node.is_some() {
                        for other in &places[number + 1..] {
                            let cell = other.cell(row);
                            if let Some(node) = other.node
                                && cell.is_present()
                            {
                                let view = cell.to_view(self.arena.len(), self.extra);
                                if view.kind() != Kind::Spread {
                                    self.rests.leave(self.binding, node, at, view);
                                }
                            }
                        }
                    }
                    return (cell, Some(place));
                }
            }
        }
        (Cell::Absent(why), None)
    }

    fn fields(
        &mut self,
        converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        constant: Option<View>,
        places: &[Place<'_>],
    ) {
        let routed = self.routed;
        if let Type::Array(inner) = &self.bound.ty {
            return self.lists(inner, converter, decoded, places);
        }
        let is_json = self.bound.ty == Type::Json;
        // Nearly always one path has values.
        let single = match places {
            [place] if !is_json => Some(place),
            _ => None,
        };
        let views = single.and_then(Place::views);
        match (views, single, converter) {
            (Some(views), _, None) => self.straight_text(&views, places, decoded, constant),
            (Some(views), _, Some(converter)) => {
                self.straight_fixed(&views, places, converter, decoded);
            }
            (None, Some(place), Some(converter)) => self.written_fixed(place, converter, decoded),
            (None, _, mut converter) => {
                for (at, &row) in routed.rows.iter().enumerate() {
                    let converter = converter.as_deref_mut();
                    self.field(at, row as usize, places, converter, decoded, constant);
                }
            }
        }
    }

    /// Decodes one row's value, whatever it is.
    pub(super) fn field(
        &mut self,
        at: usize,
        row: usize,
        places: &[Place<'_>],
        converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        constant: Option<View>,
    ) {
        let takes_objects = converter.is_none();
        let (mut cell, place) = self.first(places, at, row);
        if let (Cell::View(view), Some(node)) = (cell, place.and_then(|place| place.node))
            && (view.kind() == Kind::Spread
                || view.kind() == Kind::Object && self.binding.layout.node(node).is_interior())
        {
            if takes_objects {
                let object = self.whole.assemble(node, row, self.arena, self.extra);
                self.hidden.push((at as u32, node));
                cell = Cell::View(object);
            } else if view.kind() == Kind::Spread {
                cell = Cell::Absent(Absence::Type);
            }
        }
        if self.bound.ty == Type::Json
            && let Cell::View(view) = cell
            && view.kind() != Kind::Object
        {
            self.leave(Absence::Type, at, cell, place);
            cell = Cell::Absent(Absence::Type);
        }
        if let Err(why) = self.put(cell, row, converter, decoded, constant) {
            if cell.is_present() {
                self.leave(why, at, cell, place);
            }
            self.absent(why);
        }
    }

    /// Decodes a value that all rows share and that cannot be left over.
    fn same(
        &mut self,
        cell: Cell,
        mut converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        constant: Option<View>,
    ) {
        if !self.shared(cell, converter.as_deref_mut(), decoded) {
            self.each(converter, decoded, constant, |_, _| cell);
        }
    }

    /// Decodes values that cannot be left over: identities and the like.
    fn each(
        &mut self,
        mut converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        constant: Option<View>,
        cell: impl Fn(usize, usize) -> Cell,
    ) {
        for (at, &row) in self.routed.rows.iter().enumerate() {
            let cell = cell(at, row as usize);
            if let Err(why) =
                self.put(cell, row as usize, converter.as_deref_mut(), decoded, constant)
            {
                self.absent(why);
            }
        }
    }

    /// Decodes moments; where there is none, the record's Kafka timestamp.
    fn moments(
        &mut self,
        converter: &mut Converter,
        decoded: &mut Decoded,
        places: &[Place<'_>],
        is_event_time: bool,
    ) {
        let (past, ahead) = self.binding.options.accept_time;
        let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        let accepted = self.context.wall.saturating_sub(nanos(past))
            ..=self.context.wall.saturating_add(nanos(ahead));
        let ticks = converter.tick();
        let views = match places {
            [place] => place.views(),
            _ => None,
        };
        for (at, &row) in self.routed.rows.iter().enumerate() {
            let row = row as usize;
            // The usual row: a moment that is text and accepted.
            if let (Some(views), Some(ticks)) = (&views, ticks)
                && views[row].kind() == Kind::Text
                && let Ok(nanos) = converter.moment(Cell::View(views[row]), self.arena)
                && (!is_event_time || accepted.contains(&nanos))
                && let Values::Fixed(bytes) = &mut decoded.values
            {
                bytes.extend_from_slice(&nanos.div_euclid(ticks).to_le_bytes());
                decoded.state.push(0);
                continue;
            }
            let (cell, place) = self.first(places, at, row);
            let mut kafka = self.meta.times.get(row).copied().unwrap_or(self.context.wall);
            if !accepted.contains(&kafka) {
                kafka = self.context.wall;
            }
            let mut moment = converter.moment(cell, self.arena);
            if is_event_time
                && let Ok(nanos) = moment
                && !accepted.contains(&nanos)
            {
                self.retimed += 1;
                let view = cell.to_view(self.arena.len(), self.extra);
                self.rests.leave_as(self.binding, "timestamp_original", at, view);
                moment = Ok(kafka);
            }
            let value = match moment {
                Ok(nanos) => nanos,
                Err(why) => {
                    if cell.is_present() {
                        self.leave(why, at, cell, place);
                    }
                    if self.bound.dead_if_absent {
                        self.fill(decoded, None);
                        decoded.state.push(why as u8);
                        self.absent(why);
                        continue;
                    }
                    self.absent(why);
                    kafka
                }
            };
            if let Err(why) = self.put(Cell::Time(value), row, Some(converter), decoded, None) {
                self.absent(why);
            }
        }
    }

    /// Decodes arrays; one that does not fit is left over as a whole.
    fn lists(
        &mut self,
        inner: &Type,
        mut converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        places: &[Place<'_>],
    ) {
        let keeps_null = inner.is_nullable();
        let width = inner.scalar().and_then(Scalar::width);
        for (at, &row) in self.routed.rows.iter().enumerate() {
            let (cell, place) = self.first(places, at, row as usize);
            let Values::List(ends, items) = &mut decoded.values else {
                unreachable!("arrays are decoded as lists");
            };
            let start = items.state.len();
            let mut outcome = Ok(());
            match cell {
                Cell::Absent(why) => outcome = Err(why),
                Cell::View(view) if view.kind() == Kind::Array => {
                    elements(view, self.arena, |element| {
                        if outcome.is_err() || element.is_absent() && !keeps_null {
                            return;
                        }
                        outcome =
                            push_item(element, self.arena, converter.as_deref_mut(), width, items);
                    });
                }
                _ => outcome = Err(Absence::Type),
            }
            if outcome.is_err() {
                items.state.truncate(start);
                match &mut items.values {
                    Values::Fixed(bytes) => bytes.truncate(start * width.unwrap_or(0)),
                    Values::Views(views) => views.truncate(start),
                    Values::List(..) | Values::Entries(..) => {}
                }
            }
            ends.push(items.state.len() as u32);
            match outcome {
                Ok(()) => decoded.state.push(0),
                Err(why) => {
                    decoded.state.push(why as u8);
                    if cell.is_present() {
                        self.leave(why, at, cell, place);
                    }
                }
            }
        }
    }

    /// Adds one row's value, or the column's fallback and the reason as an error.
    #[inline]
    fn put(
        &mut self,
        cell: Cell,
        row: usize,
        converter: Option<&mut Converter>,
        decoded: &mut Decoded,
        constant: Option<View>,
    ) -> Result<(), Absence> {
        let why = match (&mut decoded.values, converter) {
            (Values::Fixed(bytes), Some(converter)) => match converter.put(cell, self.arena, bytes)
            {
                Ok(()) => {
                    decoded.state.push(0);
                    return Ok(());
                }
                Err(why) => {
                    if self.bound.fallback == Fallback::KafkaTime {
                        let kafka = Cell::Time(
                            self.meta.times.get(row).copied().unwrap_or(self.context.wall),
                        );
                        if converter.put(kafka, self.arena, bytes).is_ok() {
                            decoded.state.push(0);
                            return Ok(());
                        }
                    }
                    why
                }
            },
            (Values::Views(views), _) => match cell {
                Cell::Absent(why) => why,
                cell => {
                    views.push(cell.to_view(self.arena.len(), self.extra));
                    decoded.state.push(0);
                    return Ok(());
                }
            },
            _ => unreachable!("values are decoded for the column's type"),
        };
        self.fill(decoded, constant);
        decoded.state.push(why as u8);
        Err(why)
    }

    /// Adds what stands for no value.
    fn fill(&self, decoded: &mut Decoded, constant: Option<View>) {
        match &mut decoded.values {
            Values::Fixed(bytes) => {
                let width = self.bound.ty.scalar().and_then(Scalar::width).unwrap_or(0);
                match &self.bound.fallback {
                    Fallback::Literal(value) => bytes.extend_from_slice(value),
                    _ => bytes.resize(bytes.len() + width, 0),
                }
            }
            Values::Views(views) => views.push(constant.unwrap_or(View::MISSING)),
            Values::List(..) | Values::Entries(..) => {}
        }
    }

    /// Counts a value that came but does not fit, and keeps its text.
    #[cold]
    fn leave(&mut self, why: Absence, at: usize, cell: Cell, place: Option<&Place<'_>>) {
        self.unfit.add(why);
        let view = cell.to_view(self.arena.len(), self.extra);
        match place.and_then(|place| place.node) {
            Some(node) => self.rests.leave(self.binding, node, at, view),
            None => self.rests.leave_as(self.binding, &self.bound.name, at, view),
        }
    }

    /// Counts a row that takes the default of a column that cannot be NULL. What the engine itself knows is no default.
    pub(super) fn absent(&mut self, why: Absence) {
        let is_fed = matches!(self.bound.from, From::Fields(_) | From::EventTime(_));
        let is_strict = !self.bound.ty.is_nullable() && !self.bound.has_default;
        if is_fed && is_strict && !self.bound.dead_if_absent {
            self.defaulted.add(why);
        }
    }
}

fn push_item(
    element: View,
    arena: &[u8],
    converter: Option<&mut Converter>,
    width: Option<usize>,
    items: &mut Decoded,
) -> Result<(), Absence> {
    let cell = Cell::view(element);
    match (&mut items.values, converter) {
        (Values::Fixed(bytes), Some(converter)) => {
            if let Cell::Absent(why) = cell {
                bytes.resize(bytes.len() + width.unwrap_or(0), 0);
                items.state.push(why as u8);
                return Ok(());
            }
            converter.put(cell, arena, bytes)?;
        }
        (Values::Views(views), _) => {
            views.push(element);
            if let Cell::Absent(why) = cell {
                items.state.push(why as u8);
                return Ok(());
            }
        }
        _ => unreachable!("arrays hold scalars"),
    }
    items.state.push(0);
    Ok(())
}
