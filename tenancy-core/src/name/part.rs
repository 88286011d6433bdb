//! What names are made of.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use smol_str::SmolStr;
use uuid::Uuid;

use super::encode::Writer;
use crate::{TenantId, TenantIdRef, TenantSlug};

/// One part of a name: arbitrary bytes.
///
/// Implement it for your own ids. A part is its bytes: `7` and `"7"` are the same part.
///
/// # Examples
///
/// ```
/// use tenancy_core::{KeyPart, PartWriter};
///
/// struct OrderId(u64);
///
/// impl KeyPart for OrderId {
///     fn write_part(&self, part: &mut PartWriter<'_>) {
///         self.0.write_part(part);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a name",
    note = "texts, bytes, integers, UUIDs and ids can; implement `KeyPart` for your own id types"
)]
pub trait KeyPart {
    /// Writes the part's bytes.
    fn write_part(&self, part: &mut PartWriter<'_>);
}

/// Takes the bytes of one part; what is written in several calls is one part all the same.
pub struct PartWriter<'w>(&'w mut Writer);

impl PartWriter<'_> {
    /// Writes `bytes`.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }

    /// Writes `value` as it displays.
    pub fn display(&mut self, value: impl fmt::Display) {
        let _ = write!(self, "{value}");
    }
}

impl fmt::Write for PartWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.bytes(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for PartWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartWriter").finish_non_exhaustive()
    }
}

/// The parts of a name, in order: a tuple of up to eight [`KeyPart`]s, a slice, an array or a vector of them, or a
/// single text.
///
/// # Examples
///
/// ```
/// # use tenancy_core::{GlobalKey};
/// assert_eq!(GlobalKey::new(("feature", 7, "on")).as_str(), "global:feature:7:on");
/// assert_eq!(GlobalKey::new(["a", "b"]).as_str(), "global:a:b");
/// assert_eq!(GlobalKey::new("flags").as_str(), "global:flags");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of name parts",
    note = "give a tuple such as `(\"orders\", 7)`, a slice, or a single text"
)]
pub trait KeyParts {
    /// Hands each part to `parts`, in order.
    fn write_parts(&self, parts: &mut PartsWriter<'_>);
}

/// Takes the parts of one name.
pub struct PartsWriter<'w>(&'w mut Writer);

impl<'w> PartsWriter<'w> {
    pub(super) fn new(writer: &'w mut Writer) -> Self {
        Self(writer)
    }

    /// Adds a part.
    #[inline]
    pub fn part(&mut self, part: &(impl KeyPart + ?Sized)) {
        self.0.begin_part();
        part.write_part(&mut PartWriter(self.0));
    }
}

impl fmt::Debug for PartsWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartsWriter").finish_non_exhaustive()
    }
}

impl<T: KeyPart + ?Sized> KeyPart for &T {
    #[inline]
    fn write_part(&self, part: &mut PartWriter<'_>) {
        T::write_part(self, part);
    }
}

macro_rules! bytes_part {
    ($($type:ty: $bytes:ident),*) => {$(
        impl KeyPart for $type {
            #[inline]
            fn write_part(&self, part: &mut PartWriter<'_>) {
                part.bytes(self.$bytes());
            }
        }
    )*};
}

bytes_part!(str: as_bytes, String: as_bytes, Box<str>: as_bytes, SmolStr: as_bytes);
bytes_part!([u8]: as_ref, Vec<u8>: as_slice, bytes::Bytes: as_ref);

impl KeyPart for Cow<'_, str> {
    fn write_part(&self, part: &mut PartWriter<'_>) {
        part.bytes(self.as_bytes());
    }
}

impl<const N: usize> KeyPart for [u8; N] {
    fn write_part(&self, part: &mut PartWriter<'_>) {
        part.bytes(self);
    }
}

macro_rules! integer_part {
    ($($type:ty),*) => {$(
        impl KeyPart for $type {
            #[inline]
            fn write_part(&self, part: &mut PartWriter<'_>) {
                part.0.raw(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )*};
}

integer_part!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl KeyPart for bool {
    fn write_part(&self, part: &mut PartWriter<'_>) {
        part.bytes(if *self { b"true" } else { b"false" });
    }
}

impl KeyPart for Uuid {
    #[inline]
    fn write_part(&self, part: &mut PartWriter<'_>) {
        part.0.raw(self.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    }
}

impl KeyPart for TenantId {
    fn write_part(&self, part: &mut PartWriter<'_>) {
        with_id_bytes(self, |bytes| part.bytes(bytes));
    }
}

impl KeyPart for TenantSlug {
    fn write_part(&self, part: &mut PartWriter<'_>) {
        part.bytes(self.as_str().as_bytes());
    }
}

/// Calls `f` with the canonical text of `id`, without an allocation.
#[inline]
pub(super) fn with_id_bytes<T>(id: &TenantId, f: impl FnOnce(&[u8]) -> T) -> T {
    match id.as_ref() {
        TenantIdRef::Integer(value) => f(itoa::Buffer::new().format(value).as_bytes()),
        TenantIdRef::Uuid(uuid) => f(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes()),
        TenantIdRef::Text(text) => f(text.as_bytes()),
    }
}

/// Calls `f` with what stands behind the head of a name that `parts` give: for what is kept apart by tenant already.
#[inline]
pub(in crate::name) fn with_tail<T>(parts: impl KeyParts, f: impl FnOnce(&[u8]) -> T) -> T {
    let mut writer = Writer::new();
    parts.write_parts(&mut PartsWriter::new(&mut writer));
    f(writer.finish_here())
}

impl<T: KeyParts + ?Sized> KeyParts for &T {
    #[inline]
    fn write_parts(&self, parts: &mut PartsWriter<'_>) {
        T::write_parts(self, parts);
    }
}

impl KeyParts for str {
    #[inline]
    fn write_parts(&self, parts: &mut PartsWriter<'_>) {
        parts.part(self);
    }
}

impl<T: KeyPart> KeyParts for [T] {
    fn write_parts(&self, parts: &mut PartsWriter<'_>) {
        self.iter().for_each(|part| parts.part(part));
    }
}

impl<T: KeyPart, const N: usize> KeyParts for [T; N] {
    fn write_parts(&self, parts: &mut PartsWriter<'_>) {
        self.as_slice().write_parts(parts);
    }
}

impl<T: KeyPart> KeyParts for Vec<T> {
    fn write_parts(&self, parts: &mut PartsWriter<'_>) {
        self.as_slice().write_parts(parts);
    }
}

macro_rules! tuple_parts {
    ($($name:ident)+) => {
        impl<$($name: KeyPart),+> KeyParts for ($($name,)+) {
            #[inline]
            fn write_parts(&self, parts: &mut PartsWriter<'_>) {
                #[allow(non_snake_case, reason = "the type's name is the variable's")]
                let ($($name,)+) = self;
                $(parts.part($name);)+
            }
        }
    };
}

tuple_parts!(A);
tuple_parts!(A B);
tuple_parts!(A B C);
tuple_parts!(A B C D);
tuple_parts!(A B C D E);
tuple_parts!(A B C D E F);
tuple_parts!(A B C D E F G);
tuple_parts!(A B C D E F G H);
