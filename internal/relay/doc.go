// Package relay holds doorhook's words as types: triggers, events, plans, jobs,
// actions and outcomes. It does no I/O and knows no other package of ours; the
// others meet in its terms and need not know about one another.
//
// An event says what a booking wants, not what to do. The job holds what is
// wanted and what stands in Kisi; a worker makes the second equal the first:
//
//	            accept                  claim                    finish
//	(nothing) ─────────▶ due ─────────────────────▶ in hand ─────────────────▶ at rest
//	                     ▲ ▲                        │     │                      │
//	                     │ └── lease runs out ──────┘     │                      │
//	                     ├──── an action still has to come┘                      │
//	                     └──── accept: the booking changed ──────────────────────┘
package relay
