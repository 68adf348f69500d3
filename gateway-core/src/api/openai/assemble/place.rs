//! How what chunks say of one thing is put together: by where it stands, by its name, and by what kind of JSON it is.
//! Within a message it is done as openai-python accumulates the deltas of a stream (`lib/streaming/_deltas.py`).

/// What the members of an object belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The answer itself.
    Answer,
    /// One of its choices.
    Choice,
    /// The log probabilities of one.
    Logprobs,
    /// What it took. Some engines report prompt and completion apart.
    Usage,
    /// A chat's message.
    Message,
    /// An object within it, such as a call.
    Part,
    /// An object within that, such as the function that is called. What is inside its objects is not looked at, so that
    /// no nesting is followed further than this.
    Leaf,
}

/// How values of one member are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The newest that says something holds.
    Last,
    /// The newest that is not 0, which stands for what is not told.
    LastFigure,
    /// Strings, one behind the other.
    Text,
    /// Arrays, one behind the other.
    List,
    /// Objects, member by member.
    Object(Place),
    /// Arrays of objects that say by `index` which one they add to.
    Indexed(Place),
}

impl Place {
    /// How a member of that name and value is put together with those before it.
    pub fn rule(self, name: &str, value: &str) -> Rule {
        let first = value.as_bytes().first();
        match (self, name, first) {
            (Self::Answer, "choices", Some(b'[')) => Rule::Indexed(Self::Choice),
            (Self::Answer, "usage", Some(b'{')) => Rule::Object(Self::Usage),
            (Self::Usage, _, _) => Rule::LastFigure,
            // An engine that cannot stream may send a message in place of a delta.
            (Self::Choice, "delta" | "message", Some(b'{')) => Rule::Object(Self::Message),
            (Self::Choice, "text", Some(b'"')) => Rule::Text,
            (Self::Choice, "logprobs", Some(b'{')) => Rule::Object(Self::Logprobs),
            (Self::Choice | Self::Logprobs, _, Some(b'[')) => Rule::List,
            (Self::Message, "tool_calls", Some(b'[')) => Rule::Indexed(Self::Part),
            (Self::Message | Self::Part | Self::Leaf, "role" | "id" | "type" | "name", _) => Rule::Last,
            (Self::Message | Self::Part | Self::Leaf, _, Some(b'"')) => Rule::Text,
            (Self::Message | Self::Part | Self::Leaf, _, Some(b'[')) => Rule::List,
            (Self::Message, _, Some(b'{')) => Rule::Object(Self::Part),
            (Self::Part, _, Some(b'{')) => Rule::Object(Self::Leaf),
            _ => Rule::Last,
        }
    }
}
