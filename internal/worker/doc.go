// Package worker makes what stands in Kisi equal what bookings want: it claims
// due jobs, takes one step after the other, and saves how far each action got.
// What the next step is, is a pure function of the job and the time ([next]).
// It does not know what an action does to Kisi, nor how jobs are kept.
package worker
