//! The page of each code: what it means, a program that has it, and the repair.

use super::Code;

impl Code {
    /// Returns the page of the manual about it, as Markdown.
    pub fn page(self) -> &'static str {
        match self {
            Self::E100 => include_str!("../../../docs/diagnostics/E100.md"),
            Self::E101 => include_str!("../../../docs/diagnostics/E101.md"),
            Self::E102 => include_str!("../../../docs/diagnostics/E102.md"),
            Self::E103 => include_str!("../../../docs/diagnostics/E103.md"),
            Self::E104 => include_str!("../../../docs/diagnostics/E104.md"),
            Self::E105 => include_str!("../../../docs/diagnostics/E105.md"),
            Self::E106 => include_str!("../../../docs/diagnostics/E106.md"),
            Self::E107 => include_str!("../../../docs/diagnostics/E107.md"),
            Self::E108 => include_str!("../../../docs/diagnostics/E108.md"),
            Self::E109 => include_str!("../../../docs/diagnostics/E109.md"),
            Self::E120 => include_str!("../../../docs/diagnostics/E120.md"),
            Self::E121 => include_str!("../../../docs/diagnostics/E121.md"),
            Self::E201 => include_str!("../../../docs/diagnostics/E201.md"),
            Self::E304 => include_str!("../../../docs/diagnostics/E304.md"),
            Self::E401 => include_str!("../../../docs/diagnostics/E401.md"),
            Self::E403 => include_str!("../../../docs/diagnostics/E403.md"),
            Self::E404 => include_str!("../../../docs/diagnostics/E404.md"),
            Self::E501 => include_str!("../../../docs/diagnostics/E501.md"),
            Self::E700 => include_str!("../../../docs/diagnostics/E700.md"),
            Self::W110 => include_str!("../../../docs/diagnostics/W110.md"),
            Self::W111 => include_str!("../../../docs/diagnostics/W111.md"),
            Self::W122 => include_str!("../../../docs/diagnostics/W122.md"),
            Self::W123 => include_str!("../../../docs/diagnostics/W123.md"),
            Self::W124 => include_str!("../../../docs/diagnostics/W124.md"),
            Self::W201 => include_str!("../../../docs/diagnostics/W201.md"),
            Self::W202 => include_str!("../../../docs/diagnostics/W202.md"),
            Self::W203 => include_str!("../../../docs/diagnostics/W203.md"),
            Self::W301 => include_str!("../../../docs/diagnostics/W301.md"),
            Self::W302 => include_str!("../../../docs/diagnostics/W302.md"),
            Self::W303 => include_str!("../../../docs/diagnostics/W303.md"),
            Self::W304 => include_str!("../../../docs/diagnostics/W304.md"),
            Self::W305 => include_str!("../../../docs/diagnostics/W305.md"),
            Self::W306 => include_str!("../../../docs/diagnostics/W306.md"),
            Self::W312 => include_str!("../../../docs/diagnostics/W312.md"),
            Self::W313 => include_str!("../../../docs/diagnostics/W313.md"),
            Self::W314 => include_str!("../../../docs/diagnostics/W314.md"),
            Self::W402 => include_str!("../../../docs/diagnostics/W402.md"),
            Self::W502 => include_str!("../../../docs/diagnostics/W502.md"),
            Self::W601 => include_str!("../../../docs/diagnostics/W601.md"),
            Self::W602 => include_str!("../../../docs/diagnostics/W602.md"),
            Self::W701 => include_str!("../../../docs/diagnostics/W701.md"),
            Self::W702 => include_str!("../../../docs/diagnostics/W702.md"),
            Self::E703 => include_str!("../../../docs/diagnostics/E703.md"),
            Self::E603 => include_str!("../../../docs/diagnostics/E603.md"),
            Self::W604 => include_str!("../../../docs/diagnostics/W604.md"),
            Self::W801 => include_str!("../../../docs/diagnostics/W801.md"),
        }
    }
}
