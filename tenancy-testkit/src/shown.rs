//! Text from elsewhere, made harmless to look at.

/// Escapes what would move a cursor, begin a line, hide itself, or change the order of letters.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same for a text of several lines.
pub(crate) fn block(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
            || matches!(c, '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) && !kept(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{block, line};

    #[test]
    fn a_name_cannot_write_to_the_terminal_or_turn_itself_round() {
        assert_eq!(line("public.\"a\u{1b}[2J\nok\u{202e}x\""), "public.\"a\\u{1b}[2J\\nok\\u{202e}x\"");
        assert_eq!(line("schön 漢字"), "schön 漢字");
        assert_eq!(block("a\n\tb\r\u{2066}"), "a\n\tb\\r\\u{2066}");
    }
}
